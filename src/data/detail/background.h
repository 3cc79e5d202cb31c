// What the background tasks of one node share.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "data/chunk_io.h"
#include "data/detail/nodes.h"
#include "data/detail/records.h"
#include "data/detail/segment_reader.h"
#include "data/detail/shard_writer.h"
#include "data/detail/throttle.h"
#include "meta/shard_service.h"
#include "runtime/sync.h"

namespace claudefs::data {

// Who is up, for how long others have not been. Told by the node's watch loop.
class NodeWatch {
 public:
  void observe(const cluster::ClusterMap& map, runtime::Instant now);
  // Not in the map, or down for longer than a restart takes.
  bool gone(NodeId node, runtime::Instant now) const;
  // Up, and its disk takes no data any more: what it holds is to be made anew elsewhere.
  bool faulty(NodeId node) const { return faulty_.contains(node); }
  // Grows when a node comes up or starts anew: what it holds is to be checked.
  u64 returns() const { return returns_; }
  // Of the nodes that are up: which of its starts each is in.
  const std::map<NodeId, u64>& incarnations() const { return incarnations_; }

  static constexpr runtime::Duration kRestartTime{60'000'000'000};

 private:
  std::map<NodeId, std::optional<runtime::Instant>> down_since_;  // nothing: up
  std::map<NodeId, u64> incarnations_;
  std::set<NodeId> faulty_;
  u64 returns_ = 0;
};

struct Background {
  runtime::Env& env;
  cluster::Router& router;
  Nodes& nodes;
  SegmentReader& reader;
  NodeWatch& watch;
  Throttle& throttle;
  NodeId self{};
  // The shard's state on this node; nullptr when it is not here. Valid until the next suspension.
  std::function<const meta::ReadContext*(ShardId)> state;

  bool stopping = false;  // leader tasks end at their next round

  Hlc wall() const;
  u32 next_generation(u32 generation) const;  // unlike that of any other attempt
};

// Up to `count` records from `from` on (exclusive); sealed and open ones alike.
std::vector<SegmentRecord> segments_after(const meta::ReadContext& state, SegmentId from, std::size_t count);

}  // namespace claudefs::data
