#include "data/census.h"

#include "data/detail/records.h"

namespace claudefs::data {

IndexCensus take_index_census(const meta::ReadContext& shard) {
  IndexCensus census;
  shard.scan(kChunkPrefix, kChunkPrefix, [&](std::string_view key, std::string_view value) {
    const Result<ChunkRecord> record = wire::decode<ChunkRecord>(as_bytes(value));
    CFS_CHECK(record.has_value());
    codec::ChunkHash hash;
    CFS_CHECK(key.size() == kChunkPrefix.size() + hash.bytes.size());
    std::memcpy(hash.bytes.data(), key.data() + kChunkPrefix.size(), hash.bytes.size());
    if (record->references != 0) census.references[hash] = record->references;
    if (record->base) census.bases[hash] = *record->base;
    census.chunk_bytes[record->location.segment] += record->location.length;
    return true;
  });
  shard.scan(kSegmentPrefix, kSegmentPrefix, [&](std::string_view, std::string_view value) {
    Result<SegmentRecord> record = wire::decode<SegmentRecord>(as_bytes(value));
    CFS_CHECK(record.has_value());
    census.segments.push_back(std::move(*record));
    return true;
  });
  return census;
}

}  // namespace claudefs::data
