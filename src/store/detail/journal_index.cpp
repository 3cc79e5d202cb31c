#include "store/detail/journal_index.h"

#include <algorithm>

namespace claudefs::store::detail {
namespace {
constexpr std::size_t kForgettableMost = 65536;
}

void JournalIndex::put(Segment& segment, u32 offset, const JournalExtent& extent) {
  segment.extents[offset] = extent;
  files_[extent.record.file].live_bytes += extent.length;
  live_bytes_ += extent.length;
}
void JournalIndex::take(const JournalExtent& extent) {
  files_[extent.record.file].live_bytes -= extent.length;
  live_bytes_ -= extent.length;
}

void JournalIndex::cut_out(Segment& segment, u32 from, u32 to) {
  auto at = segment.extents.upper_bound(from);
  if (at != segment.extents.begin()) --at;
  while (at != segment.extents.end() && at->first < to) {
    const auto [begin, old] = *at;
    const u32 end = begin + old.length;
    if (end <= from) {
      ++at;
      continue;
    }
    take(old);
    at = segment.extents.erase(at);
    if (begin < from) put(segment, begin, {from - begin, old.record, old.skip});
    if (end > to) put(segment, to, {end - to, old.record, old.skip + (to - begin)});
  }
}

void JournalIndex::append(SegmentId id, u32 offset, JournalExtent extent, runtime::Instant now) {
  Segment& segment = segments_[id];
  segment.last_append = now;
  files_[extent.record.file].mentions.insert(id);
  if (extent.length == 0) return;
  cut_out(segment, offset, offset + extent.length);
  put(segment, offset, extent);
}

void JournalIndex::close(SegmentId id, u32 file) {
  segments_[id].closed_in = file;
  files_[file].mentions.insert(id);
}

void JournalIndex::drop(SegmentId id, u32 file) {
  files_[file].drops.insert(id);
  dropped_.insert(id);
  const auto at = segments_.find(id);
  if (at == segments_.end()) return;
  for (const auto& [offset, extent] : at->second.extents) take(extent);
  segments_.erase(at);
}

void JournalIndex::refuse(SegmentId id) {
  if (!dropped_.insert(id).second) return;
  forgettable_.push_back(id);
  if (forgettable_.size() <= kForgettableMost) return;
  dropped_.erase(forgettable_.front());
  forgettable_.pop_front();
}

bool JournalIndex::is_closed(SegmentId id) const {
  const auto at = segments_.find(id);
  return at != segments_.end() && at->second.closed_in.has_value();
}

OpenSegment JournalIndex::describe(SegmentId id) const {
  OpenSegment out{.segment = id};
  const auto at = segments_.find(id);
  if (at == segments_.end()) return out;
  out.last_append = at->second.last_append;
  for (const auto& [offset, extent] : at->second.extents) {
    if (offset != out.length) out.contiguous = false;
    out.length = offset + extent.length;
  }
  return out;
}

std::vector<OpenSegment> JournalIndex::segments() const {
  std::vector<OpenSegment> out;
  for (const auto& [id, segment] : segments_) out.push_back(describe(id));
  return out;
}

std::optional<std::vector<JournalPiece>> JournalIndex::find(SegmentId id, u32 offset, u32 length) const {
  const auto found = segments_.find(id);
  if (found == segments_.end()) return std::nullopt;
  const auto& extents = found->second.extents;
  std::vector<JournalPiece> pieces;
  u64 next = offset;
  const u64 end = u64{offset} + length;
  auto at = extents.upper_bound(offset);
  if (at != extents.begin()) --at;
  for (; next < end && at != extents.end(); ++at) {
    const auto& [begin, extent] = *at;
    if (begin > next || begin + u64{extent.length} <= next) return std::nullopt;
    pieces.push_back({begin, extent});
    next = begin + u64{extent.length};
  }
  if (next < end) return std::nullopt;
  return pieces;
}

bool JournalIndex::holds(SegmentId id, u32 offset, const JournalExtent& extent) const {
  const auto segment = segments_.find(id);
  if (segment == segments_.end()) return false;
  const auto at = segment->second.extents.find(offset);
  return at != segment->second.extents.end() && at->second == extent;
}

u64 JournalIndex::live_bytes_in(u32 file) const {
  const auto at = files_.find(file);
  return at == files_.end() ? 0 : at->second.live_bytes;
}

std::vector<u32> JournalIndex::files() const {
  std::vector<u32> out;
  for (const auto& [number, file] : files_) out.push_back(number);
  return out;
}

bool JournalIndex::is_dead(u32 number) const {
  const auto file = files_.find(number);
  if (file == files_.end()) return true;
  if (file->second.live_bytes != 0 || !closed_in(number).empty()) return false;
  for (auto older = files_.begin(); older != file; ++older)
    for (SegmentId id : file->second.drops)
      if (older->second.mentions.contains(id)) return false;
  return true;
}

void JournalIndex::forget_file(u32 number) {
  const auto file = files_.find(number);
  if (file == files_.end()) return;
  for (SegmentId id : file->second.drops) {
    // refuse() puts it at the end of those that may be forgotten.
    if (dropped_.erase(id) != 0) refuse(id);
  }
  files_.erase(file);
}

std::vector<std::pair<SegmentId, JournalPiece>> JournalIndex::live_in(u32 file) const {
  std::vector<std::pair<SegmentId, JournalPiece>> out;
  for (const auto& [id, segment] : segments_)
    for (const auto& [offset, extent] : segment.extents)
      if (extent.record.file == file) out.push_back({id, {offset, extent}});
  return out;
}

std::vector<SegmentId> JournalIndex::closed_in(u32 number) const {
  std::vector<SegmentId> out;
  const auto file = files_.find(number);
  if (file == files_.end()) return out;
  for (SegmentId id : file->second.mentions) {
    const auto segment = segments_.find(id);
    if (segment != segments_.end() && segment->second.closed_in == number) out.push_back(id);
  }
  return out;
}

}  // namespace claudefs::store::detail
