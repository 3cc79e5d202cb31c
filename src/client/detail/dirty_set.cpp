#include "client/detail/dirty_set.h"

#include <algorithm>

#include "base/check.h"

namespace claudefs::client {
namespace {

constexpr std::size_t kGatherMax = 64 << 10;  // blocks that grow by appends stay below this
constexpr std::size_t kGatherLeast = 4 << 10;

u64 saturating_end(u64 offset, u64 length) {
  return length > UINT64_MAX - offset ? UINT64_MAX : offset + length;
}

}  // namespace

void DirtySet::write(u64 offset, Buffer data) {
  if (data.empty()) return;
  last_write_end_ = offset + data.size();
  erase(offset, data.size());
  bytes_ += data.size();
  if (append(offset, data)) return;
  const std::size_t size = data.size();
  pieces_.emplace(offset, Block{std::move(data), size});
}

bool DirtySet::append(u64 offset, const Buffer& data) {
  auto next = pieces_.lower_bound(offset);
  if (next == pieces_.begin()) return false;
  auto& [start, block] = *std::prev(next);
  if (start + block.used != offset || block.used + data.size() > kGatherMax) return false;
  if (block.used + data.size() > block.data.size()) {
    // Doubling keeps the copying linear however small the appends are.
    const std::size_t room =
        std::min(kGatherMax, std::max({kGatherLeast, 2 * block.used, block.used + data.size()}));
    Buffer grown = Buffer::allocate(room);
    std::memcpy(grown.data(), block.data.data(), block.used);
    block.data = std::move(grown);
  }
  std::memcpy(block.data.data() + block.used, data.data(), data.size());
  block.used += data.size();
  return true;
}

void DirtySet::erase(u64 offset, u64 length) {
  const u64 end = saturating_end(offset, length);
  auto at = pieces_.lower_bound(offset);
  if (at != pieces_.begin()) {
    auto& [start, block] = *std::prev(at);
    const u64 block_end = start + block.used;
    if (block_end > offset) {
      if (block_end > end) {
        Buffer tail = block.data.slice(end - start, block_end - end);
        const std::size_t size = tail.size();
        pieces_.emplace_hint(at, end, Block{std::move(tail), size});
        bytes_ += size;
      }
      bytes_ -= block_end - offset;
      // Its room may lie under the tail now: cut it off.
      block.data = block.data.slice(0, offset - start);
      block.used = offset - start;
      at = pieces_.lower_bound(offset);
    }
  }
  while (at != pieces_.end() && at->first < end) {
    const u64 start = at->first;
    Block block = std::move(at->second);
    at = pieces_.erase(at);
    bytes_ -= block.used;
    if (start + block.used > end) {
      Buffer tail = block.data.slice(end - start, start + block.used - end);
      const std::size_t size = tail.size();
      bytes_ += size;
      pieces_.emplace_hint(at, end, Block{std::move(tail), size});
      break;
    }
  }
}

void DirtySet::clear() {
  pieces_.clear();
  bytes_ = 0;
}

void DirtySet::absorb_below(DirtySet older) {
  const u64 stream_end = last_write_end_ != 0 ? last_write_end_ : older.last_write_end_;
  DirtySet newer = std::move(*this);
  *this = std::move(older);
  for (auto& [offset, block] : newer.pieces_) write(offset, block.view());
  last_write_end_ = stream_end;
}

u64 DirtySet::end() const {
  if (pieces_.empty()) return 0;
  const auto& [start, block] = *pieces_.rbegin();
  return start + block.used;
}

std::vector<DirtySet::Piece> DirtySet::in(u64 offset, u64 length) const {
  std::vector<Piece> out;
  const u64 end = saturating_end(offset, length);
  auto at = pieces_.upper_bound(offset);
  if (at != pieces_.begin()) --at;
  for (; at != pieces_.end() && at->first < end; ++at) {
    const u64 from = std::max(at->first, offset);
    const u64 to = std::min(at->first + at->second.used, end);
    if (from < to) out.push_back({from, at->second.data.slice(from - at->first, to - from)});
  }
  return out;
}

std::vector<DirtySet::Run> DirtySet::runs() const {
  std::vector<Run> out;
  for (const auto& [offset, block] : pieces_) {
    if (!out.empty() && out.back().offset + out.back().length == offset)
      out.back().length += block.used;
    else
      out.push_back({offset, block.used});
  }
  return out;
}

Buffer DirtySet::gather(u64 offset, u64 length) const {
  const std::vector<Piece> pieces = in(offset, length);
  if (pieces.size() == 1 && pieces[0].data.size() == length) return pieces[0].data;
  Buffer out = Buffer::allocate(length);
  u64 filled = 0;
  for (const Piece& piece : pieces) {
    CFS_CHECK(piece.offset == offset + filled);
    std::memcpy(out.data() + filled, piece.data.data(), piece.data.size());
    filled += piece.data.size();
  }
  CFS_CHECK(filled == length);
  return out;
}

}  // namespace claudefs::client
