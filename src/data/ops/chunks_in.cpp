#include "data/ops/ops.h"

namespace claudefs::data {

Result<ChunksInReply> read_chunks_in(const meta::ReadContext& context, const ChunksIn& op) {
  ChunksInReply reply;
  for (const SegmentId segment : op.segments) {
    std::vector<codec::ChunkHash> hashes;
    const std::string places = place_key(segment, 0).substr(0, kPlacePrefix.size() + 8);
    context.scan(places, places, [&](std::string_view, std::string_view value) {
      codec::ChunkHash& hash = hashes.emplace_back();
      CFS_CHECK(value.size() == hash.bytes.size());
      std::memcpy(hash.bytes.data(), value.data(), value.size());
      return true;
    });
    for (const codec::ChunkHash& hash : hashes) {
      const std::optional<ChunkRecord> record = context.load<ChunkRecord>(chunk_key(hash));
      if (record && record->location.segment == segment && record->references != 0)
        reply.rows.push_back(
            {hash, record->location, record->chunk_length, record->base.has_value(), record->is_base});
    }
  }
  return reply;
}

}  // namespace claudefs::data
