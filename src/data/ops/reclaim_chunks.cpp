#include <algorithm>

#include "base/mutant.h"
#include "data/detail/hlc.h"
#include "data/ops/ops.h"

namespace claudefs::data {

CFS_DEFINE_MUTANT(data_base_not_given_back, "data: a reclaimed delta keeps its reference to its base");
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
  IndexEffects effects;
  for (const ZeroEntry& entry : entries) {
    const std::optional<ChunkRecord> record = context.load<ChunkRecord>(chunk_key(entry.hash));
    effects.live_bytes[record->location.segment] -= record->location.length;
    effects.totals.zero_bytes -= record->location.length;
    effects.totals.saved_bytes -= record->saved;
    if (record->base && !CFS_MUTANT(data_base_not_given_back)) --effects.bases[*record->base];
    context.remove(chunk_key(entry.hash));
    context.remove(place_key(record->location.segment, record->location.offset));
    context.remove(zero_key(entry.zero_since, entry.hash));
  }
  effects.totals.chunks -= static_cast<i64>(entries.size());
  effects.emit(context);
  reply.reclaimed = static_cast<u32>(entries.size());
  return reply;
}

}  // namespace claudefs::data
