// What a shard's chunk index and segment table hold: for audits (the simulator, fsck). Costs a scan of both.
#pragma once

#include <map>

#include "data/operations.h"
#include "meta/shard_machine.h"

namespace claudefs::data {

struct IndexCensus {
  std::map<codec::ChunkHash, u64> references;          // of chunks whose count is not zero
  std::map<codec::ChunkHash, codec::ChunkHash> bases;  // by the chunk whose stored form builds on it
  std::map<SegmentId, u64> chunk_bytes;  // that the index says lie in a segment, referenced or not
  std::vector<SegmentRecord> segments;
};
IndexCensus take_index_census(const meta::ReadContext& shard);

}  // namespace claudefs::data
