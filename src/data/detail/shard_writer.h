// Encodes a segment and writes its shards to nodes. Used by writers, sealing and repair.
#pragma once

#include "codec/erasure.h"
#include "data/detail/nodes.h"
#include "data/operations.h"

namespace claudefs::data {

// The k+m shards of a segment that is given in pieces.
runtime::Task<Result<std::vector<Buffer>>> encode_segment(runtime::Env& env, Layout layout,
                                                          std::vector<Buffer> pieces);

struct ShardFailure {
  NodeId node{};
  Error error;
};
struct ShardTarget {
  SegmentId segment{};
  u32 generation = 0;
  std::vector<NodeId> nodes;  // one a shard
};
// All shards in parallel; those that failed. Durable when none did.
runtime::Task<std::vector<ShardFailure>> write_shards(runtime::Env& env, Nodes& nodes, ShardTarget target,
                                                      std::vector<Buffer> shards, runtime::Duration timeout);
// Best effort: what stays is found by the holder's own sweep.
runtime::Task<void> remove_shards(runtime::Env& env, Nodes& nodes, std::vector<ShardTarget> targets);

}  // namespace claudefs::data
