#include <algorithm>

#include "base/mutant.h"
#include "base/probe.h"
#include "data/detail/hlc.h"
#include "data/ops/ops.h"

namespace claudefs::data {

CFS_DEFINE_MUTANT(data_delta_of_delta, "data: a delta is accepted as the base of another");

Result<PinBasesReply> apply_pin_bases(meta::ApplyContext& context, const PinBases& op) {
  PinBasesReply reply;
  reply.valid_until = later(context.hlc(), kPinUse);
  const Hlc until = later(context.hlc(), kPinTime);
  for (const codec::ChunkHash& hash : op.hashes) {
    PinBasesReply::Base& base = reply.bases.emplace_back();
    std::optional<ChunkRecord> record = context.load<ChunkRecord>(chunk_key(hash));
    if (!record || record->references == 0) continue;
    if (record->base && !CFS_MUTANT(data_delta_of_delta)) {
      CFS_PROBE(data_base_is_delta, "a chunk that is to be a base is a delta: its own base is told");
      base.base = record->base;
      continue;
    }
    record->is_base = true;
    record->pinned_until = std::max(record->pinned_until, until);
    context.store(chunk_key(hash), *record);
    base = {true, record->location, record->chunk_length, std::nullopt};
  }
  return reply;
}

}  // namespace claudefs::data
