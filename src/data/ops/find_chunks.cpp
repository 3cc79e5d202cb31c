#include "data/ops/ops.h"

namespace claudefs::data {

Result<ChunkPlaces> read_find_chunks(const meta::ReadContext& context, const FindChunks& op) {
  ChunkPlaces reply;
  reply.places.reserve(op.hashes.size());
  for (const codec::ChunkHash& hash : op.hashes) {
    const std::optional<ChunkRecord> record = context.load<ChunkRecord>(chunk_key(hash));
    reply.places.push_back(record ? ChunkPlace{true, record->location, record->chunk_length, record->base}
                                  : ChunkPlace{});
  }
  return reply;
}

}  // namespace claudefs::data
