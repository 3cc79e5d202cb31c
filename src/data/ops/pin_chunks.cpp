#include <algorithm>

#include "data/detail/hlc.h"
#include "data/ops/ops.h"

namespace claudefs::data {

Result<ChunkPlaces> apply_pin_chunks(meta::ApplyContext& context, const PinChunks& op) {
  ChunkPlaces reply;
  reply.valid_until = later(context.hlc(), kPinUse);
  const Hlc until = later(context.hlc(), kPinTime);
  for (const codec::ChunkHash& hash : op.hashes) {
    std::optional<ChunkRecord> record = context.load<ChunkRecord>(chunk_key(hash));
    if (!record) {
      reply.places.emplace_back();
      continue;
    }
    record->pinned_until = std::max(record->pinned_until, until);
    context.store(chunk_key(hash), *record);
    reply.places.push_back({true, record->location, record->chunk_length, record->base});
  }
  return reply;
}

}  // namespace claudefs::data
