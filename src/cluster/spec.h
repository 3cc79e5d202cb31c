// What makes a cluster: made once by `claudefs cluster init` (or the playground), the same file on every
// node; TOML for people. Holds the cluster's secret: mode 0600.
#pragma once

#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "net/rpc.h"

namespace claudefs::cluster {

struct NodeSpec {
  NodeId id{};
  std::string address;  // host:port
};
struct ClusterSpec {
  net::ClusterId id{};
  std::string name;
  std::string secret;  // hex; admits nodes and clients, wraps data keys
  u16 shards = 16;
  u32 trash_hours = 24;         // what is removed can be restored for so long; 0: not at all
  std::vector<NodeSpec> nodes;  // sorted by id

  const NodeSpec* find(NodeId id) const;
};

// Errors name the line (a TOML parser's) or the key that is missing or wrong.
Result<ClusterSpec> parse_spec(std::string_view toml);
std::string format_spec(const ClusterSpec& spec);
// Which nodes hold shard `shard`: min(3, nodes) of them by rendezvous hashing.
std::vector<NodeId> replicas_of(const ClusterSpec& spec, ShardId shard);

}  // namespace claudefs::cluster
