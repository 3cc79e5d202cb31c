#include "data/detail/records.h"

#include <algorithm>

#include "base/mutant.h"
#include "data/detail/hlc.h"
#include "meta/operations.h"

namespace claudefs::data {

CFS_DEFINE_MUTANT(data_half_dead_segment_freed,
                  "data: a segment counts as empty when less than half of it is in use");

std::string big_endian(u64 value) {
  std::string out(8, '\0');
  for (int i = 0; i < 8; ++i) out[i] = static_cast<char>(value >> (56 - 8 * i));
  return out;
}
static u64 from_big_endian(std::string_view bytes) {
  u64 value = 0;
  for (const char c : bytes) value = value << 8 | static_cast<u8>(c);
  return value;
}
static std::string prefixed(std::string_view prefix, std::string_view rest) {
  std::string key(prefix);
  key.append(rest);
  return key;
}

std::string chunk_key(const codec::ChunkHash& hash) { return prefixed(kChunkPrefix, as_text(hash.bytes)); }
std::string segment_key(SegmentId segment) { return prefixed(kSegmentPrefix, big_endian(segment.value)); }
std::string open_segment_key(SegmentId segment) {
  return prefixed(kOpenSegmentPrefix, big_endian(segment.value));
}
std::string dead_segment_key(SegmentId segment) {
  return prefixed(kDeadSegmentPrefix, big_endian(segment.value));
}
std::string place_key(SegmentId segment, u32 offset) {
  return prefixed(kPlacePrefix, big_endian(segment.value)) + big_endian(offset).substr(4);
}
std::string zero_key(Hlc zero_since, const codec::ChunkHash& hash) {
  return prefixed(kZeroPrefix, big_endian(zero_since.value)) + std::string(as_text(hash.bytes));
}
std::string sketch_key(u64 feature, u16 shard_count) {
  return prefixed(kSketchPrefix, big_endian(feature / shard_count % kSketchSlots).substr(4));
}
std::optional<ZeroEntry> parse_zero_key(std::string_view key) {
  ZeroEntry entry;
  if (key.size() != 1 + 8 + entry.hash.bytes.size()) return std::nullopt;
  entry.zero_since = Hlc{from_big_endian(key.substr(1, 8))};
  const ByteSpan hash = as_bytes(key.substr(9));
  std::copy(hash.begin(), hash.end(), entry.hash.bytes.begin());
  return entry;
}
std::optional<SegmentId> parse_segment_key(std::string_view key) {
  if (key.size() != 9) return std::nullopt;
  return SegmentId{from_big_endian(key.substr(1))};
}

static bool is_empty(const SegmentRecord& record) {
  if (CFS_MUTANT(data_half_dead_segment_freed) && record.indexed_bytes != 0)
    return record.live_bytes < i64{record.length} / 2;
  return record.live_bytes == 0;
}

void put_segment(meta::ApplyContext& context, const SegmentRecord& record) {
  const auto mark = [&](std::string key, bool there) {
    if (there)
      context.put(std::move(key), {});
    else
      context.remove(std::move(key));
  };
  const bool open = record.state == SegmentState::open;
  context.store(segment_key(record.id), record);
  mark(open_segment_key(record.id), open);
  mark(dead_segment_key(record.id), is_empty(record) && !(open && !record.journals.empty()));
}
void remove_segment(meta::ApplyContext& context, SegmentId segment) {
  context.remove(segment_key(segment));
  context.remove(open_segment_key(segment));
  context.remove(dead_segment_key(segment));
}
void add_to_totals(meta::ApplyContext& context, const TotalsDelta& delta) {
  if (delta.chunks == 0 && delta.zero_bytes == 0 && delta.saved_bytes == 0) return;
  IndexTotals totals = context.load<IndexTotals>(kTotalsKey).value_or(IndexTotals{});
  const auto sum = [](u64 of, i64 more) {
    return static_cast<u64>(std::max<i64>(0, static_cast<i64>(of) + more));
  };
  totals.chunks = sum(totals.chunks, delta.chunks);
  totals.zero_bytes = sum(totals.zero_bytes, delta.zero_bytes);
  totals.saved_bytes = sum(totals.saved_bytes, delta.saved_bytes);
  context.store(std::string(kTotalsKey), totals);
}

void IndexEffects::emit(meta::ApplyContext& context) const {
  for (const auto& [segment, bytes] : live_bytes)
    context.emit(shard_of(segment), SegmentDelta{segment, bytes});
  std::map<ShardId, meta::ChunkDeltas> by_shard;
  for (const auto& [hash, references] : bases)
    by_shard[meta::shard_of_chunk(hash, context.shard_count())].deltas.push_back({hash, references, {}, 0});
  for (const auto& [shard, op] : by_shard) context.emit(shard, op);
  add_to_totals(context, totals);
}

void move_chunk(meta::ApplyContext& context, const codec::ChunkHash& hash, ChunkRecord& record,
                const Location& to, IndexEffects& effects) {
  context.remove(place_key(record.location.segment, record.location.offset));
  context.put(place_key(to.segment, to.offset), std::string(as_text(hash.bytes)));
  effects.live_bytes[record.location.segment] -= record.location.length;
  effects.live_bytes[to.segment] += to.length;
  record.location = to;
  record.changed = context.hlc();
}

bool settled(const SegmentRecord& record, Hlc safe) {
  return record.state == SegmentState::sealed &&
         (record.indexed_bytes >= i64{record.length} || safe > later(record.granted, kGrantUse));
}

bool removable(const SegmentRecord& record, Hlc safe, Hlc now) {
  if (!is_empty(record)) return false;
  if (record.state == SegmentState::sealed)
    return settled(record, safe) && safe > record.changed && now > later(record.changed, kSegmentGrace);
  return record.state == SegmentState::open && record.journals.empty() &&
         now > later(record.granted, kGrantAbandoned);
}

}  // namespace claudefs::data
