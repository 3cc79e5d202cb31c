#include <algorithm>

#include "base/log.h"
#include "base/mutant.h"
#include "data/ops/ops.h"

namespace claudefs::data {

CFS_DEFINE_MUTANT(data_reference_freed_twice, "data: dropping a reference drops two");
CFS_DEFINE_MUTANT(data_reference_not_counted, "data: a further reference to a known chunk is not counted");
CFS_DEFINE_MUTANT(data_reclaims_live_chunks,
                  "data: a chunk with one reference left is queued for reclaiming");
namespace {

using meta::ApplyContext;
using meta::ChunkDeltas;

// A hash's record and how the count moved it between "in use" and "at zero".
void take_reference(ApplyContext& context, const codec::ChunkHash& hash, ChunkRecord& record,
                    IndexEffects& effects) {
  if (record.zero_since == Hlc{}) return;
  context.remove(zero_key(record.zero_since, hash));
  record.zero_since = Hlc{};
  effects.totals.zero_bytes -= record.location.length;
}
void drop_to_zero(ApplyContext& context, const codec::ChunkHash& hash, ChunkRecord& record,
                  IndexEffects& effects) {
  record.zero_since = context.hlc();
  context.put(zero_key(record.zero_since, hash), {});
  effects.totals.zero_bytes += record.location.length;
}

void add(ApplyContext& context, const ChunkDeltas::Delta& delta, IndexEffects& effects) {
  std::optional<ChunkRecord> record = context.load<ChunkRecord>(chunk_key(delta.hash));
  if (!record) {
    if (delta.location.segment == SegmentId{}) {
      log::error("data", "reference to a chunk without a place", {log::kv("chunk", delta.hash.to_hex())});
      return;
    }
    record.emplace();
    record->location = delta.location;
    record->chunk_length = delta.chunk_length;
    effects.live_bytes[delta.location.segment] += delta.location.length;
    effects.totals.chunks += 1;
    context.put(place_key(delta.location.segment, delta.location.offset),
                std::string(as_text(delta.hash.bytes)));
  }
  if (!CFS_MUTANT(data_reference_not_counted) || record->references == 0)
    record->references += static_cast<u64>(delta.references);
  take_reference(context, delta.hash, *record, effects);
  record->changed = context.hlc();
  context.store(chunk_key(delta.hash), *record);
}

void subtract(ApplyContext& context, const ChunkDeltas::Delta& delta, IndexEffects& effects) {
  std::optional<ChunkRecord> record = context.load<ChunkRecord>(chunk_key(delta.hash));
  // Not ~references: the smallest i64 has no positive twin.
  const u64 count = ~static_cast<u64>(delta.references) + 1;
  if (!record || record->references < count)
    log::error("data", "more references dropped than were held",
               {log::kv("chunk", delta.hash.to_hex()), log::kv("dropped", count),
                log::kv("held", record ? record->references : 0)});
  if (!record || record->references == 0) return;
  record->references -=
      std::min(CFS_MUTANT(data_reference_freed_twice) ? count + 1 : count, record->references);
  if (CFS_MUTANT(data_reclaims_live_chunks) && record->references == 1) record->references = 0;
  if (record->references == 0) drop_to_zero(context, delta.hash, *record, effects);
  record->changed = context.hlc();
  context.store(chunk_key(delta.hash), *record);
}

}  // namespace

Result<meta::Nothing> apply_chunk_deltas(ApplyContext& context, const ChunkDeltas& op) {
  IndexEffects effects;
  for (const ChunkDeltas::Delta& delta : op.deltas) {
    if (delta.references > 0) add(context, delta, effects);
    if (delta.references < 0) subtract(context, delta, effects);
  }
  effects.emit(context);
  return meta::Nothing{};
}

}  // namespace claudefs::data
