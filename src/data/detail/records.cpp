#include "data/detail/records.h"

#include <algorithm>

#include "data/detail/hlc.h"

namespace claudefs::data {

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
std::string zero_key(Hlc zero_since, const codec::ChunkHash& hash) {
  return prefixed(kZeroPrefix, big_endian(zero_since.value)) + std::string(as_text(hash.bytes));
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

void put_segment(meta::ApplyContext& context, const SegmentRecord& record) {
  context.store(segment_key(record.id), record);
  if (record.state == SegmentState::open)
    context.put(open_segment_key(record.id), {});
  else
    context.remove(open_segment_key(record.id));
}
void remove_segment(meta::ApplyContext& context, SegmentId segment) {
  context.remove(segment_key(segment));
  context.remove(open_segment_key(segment));
}
void add_to_totals(meta::ApplyContext& context, i64 chunks) {
  if (chunks == 0) return;
  IndexTotals totals = context.load<IndexTotals>(kTotalsKey).value_or(IndexTotals{});
  totals.chunks = static_cast<u64>(std::max<i64>(0, static_cast<i64>(totals.chunks) + chunks));
  context.store(std::string(kTotalsKey), totals);
}

bool removable(const SegmentRecord& record, Hlc safe, Hlc now) {
  if (record.live_bytes != 0) return false;
  if (record.state == SegmentState::sealed) {
    // A commit of a chunk that was written here may be under way until the grant's promise has run out.
    const bool wanted_once = record.ever_live || now > later(record.granted, kOrphanGrace);
    return wanted_once && safe > later(record.granted, kGrantUse) && safe > record.changed &&
           now > later(record.changed, kSegmentGrace);
  }
  return record.state == SegmentState::open && record.journals.empty() &&
         now > later(record.granted, kGrantAbandoned);
}

}  // namespace claudefs::data
