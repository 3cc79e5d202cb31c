// Full segments, straight to the nodes that will hold them.
#pragma once

#include <set>

#include "data/detail/nodes.h"
#include "data/detail/segment_pool.h"
#include "data/detail/shard_writer.h"

namespace claudefs::data {

inline constexpr u32 kSegmentMax = 2u << 20;
inline constexpr runtime::Duration kWriteTimeLimit{60'000'000'000};

struct WrittenSegment {
  SealSegments::Sealed sealed;  // its shards are durable; not yet in the table as sealed
  Hlc granted{};
};

class DirectWriter {
 public:
  DirectWriter(runtime::Env& env, Nodes& nodes, SegmentPool& pool) : env_(env), nodes_(nodes), pool_(pool) {}
  // Errors: no_space, unavailable. Tries other nodes and layouts until the time limit.
  runtime::Task<Result<WrittenSegment>> write(std::vector<Buffer> pieces);

 private:
  runtime::Env& env_;
  Nodes& nodes_;
  SegmentPool& pool_;
};

// What a writer learned while it looked for places: who is full, until when it may go on.
class PlaceSearch {
 public:
  PlaceSearch(runtime::Env& env, Nodes& nodes)
      : env_(env), nodes_(nodes), deadline_(env.now() + kWriteTimeLimit) {}
  // Writable and not full; without those that failed the last round, where the others are enough.
  std::vector<NodeId> candidates() const;
  void note(const std::vector<ShardFailure>& failures);
  // After a failure or when there are too few candidates: waits a little, or says why it is over.
  runtime::Task<Result<void>> next_round();

 private:
  runtime::Env& env_;
  Nodes& nodes_;
  runtime::Instant deadline_;
  std::set<NodeId> full_;
  std::set<NodeId> failed_;
  Error last_{Errc::unavailable, "too few nodes are up to write with redundancy"};
  u32 rounds_ = 0;
};

}  // namespace claudefs::data
