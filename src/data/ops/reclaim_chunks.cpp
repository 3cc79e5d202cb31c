#include <algorithm>
#include <map>

#include "data/detail/hlc.h"
#include "data/ops/ops.h"

namespace claudefs::data {
namespace {

constexpr u32 kScanMax = 4096;  // queue entries one command looks at, most of them pinned at worst

bool may_go(const ChunkRecord& record, Hlc safe, Hlc now) {
  return record.references == 0 && record.pinned_until < std::min(safe, now) && record.zero_since < safe &&
         later(record.zero_since, kChunkGrace) < now;
}

}  // namespace

Result<ReclaimChunksReply> apply_reclaim_chunks(meta::ApplyContext& context, const ReclaimChunks& op) {
  ReclaimChunksReply reply;
  const Hlc now = context.hlc();
  std::vector<ZeroEntry> old;
  context.scan(kZeroPrefix, kZeroPrefix, [&](std::string_view key, std::string_view) {
    const std::optional<ZeroEntry> entry = parse_zero_key(key);
    if (!entry) return true;
    if (entry->zero_since >= op.safe || later(entry->zero_since, kChunkGrace) >= now) return false;
    old.push_back(*entry);
    return old.size() < kScanMax;
  });
  std::vector<ZeroEntry> entries;
  for (const ZeroEntry& entry : old) {
    const std::optional<ChunkRecord> record = context.load<ChunkRecord>(chunk_key(entry.hash));
    if (!record || !may_go(*record, op.safe, now)) continue;
    reply.more = entries.size() == op.chunks_max;
    if (reply.more) break;
    entries.push_back(entry);
  }
  std::map<SegmentId, i64> live_bytes;
  i64 bytes_freed = 0;
  for (const ZeroEntry& entry : entries) {
    const std::optional<ChunkRecord> record = context.load<ChunkRecord>(chunk_key(entry.hash));
    live_bytes[record->location.segment] -= record->location.length;
    bytes_freed += record->location.length;
    context.remove(chunk_key(entry.hash));
    context.remove(place_key(record->location.segment, record->location.offset));
    context.remove(zero_key(entry.zero_since, entry.hash));
  }
  for (const auto& [segment, bytes] : live_bytes)
    context.emit(shard_of(segment), SegmentDelta{segment, bytes});
  add_to_totals(context, -static_cast<i64>(entries.size()), -bytes_freed);
  reply.reclaimed = static_cast<u32>(entries.size());
  return reply;
}

}  // namespace claudefs::data
