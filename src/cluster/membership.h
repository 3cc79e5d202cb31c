// Who is there: every node sends a heartbeat with its statistics to every other, and answers GetMap from
// what it heard. A node unheard of for `down_after` counts as down. Nothing safety-critical depends on it:
// Raft has its own timeouts, and writers that meet a dead node choose another.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "cluster/spec.h"
#include "net/rpc.h"
#include "runtime/env.h"

namespace claudefs::cluster {

enum class NodeState : u8 { unknown = 0, up = 1, down = 2 };

// A node's own figures, in bytes; sent with each heartbeat.
struct NodeStats {
  u64 raw_total = 0;
  u64 raw_used = 0;
  u64 journal_bytes = 0;
  u64 shard_bytes = 0;
  u64 shard_bytes_max = 0;
  u64 metadata_bytes = 0;
  u64 resident_bytes = 0;
  u32 groups_led = 0;
  std::string version;
  u64 incarnation = 0;     // drawn at each start: what the node holds may have changed since the last one
  std::string disk_fault;  // why its disk takes no data any more; empty while it is well
  static auto fields(auto& self) {
    return std::tie(self.raw_total, self.raw_used, self.journal_bytes, self.shard_bytes, self.shard_bytes_max,
                    self.metadata_bytes, self.resident_bytes, self.groups_led, self.version, self.incarnation,
                    self.disk_fault);
  }
};
struct NodeView {
  NodeId id{};
  std::string address;
  NodeState state = NodeState::unknown;
  NodeStats stats;
  static auto fields(auto& self) { return std::tie(self.id, self.address, self.state, self.stats); }
};
struct ShardView {
  ShardId shard{};
  std::vector<NodeId> replicas;
  NodeId leader{};  // as known to the node that answers; 0: unknown
  static auto fields(auto& self) { return std::tie(self.shard, self.replicas, self.leader); }
};
// What a client caches.
struct ClusterMap {
  std::string name;
  net::ClusterId id{};
  std::vector<NodeView> nodes;    // sorted by id
  std::vector<ShardView> shards;  // index = shard
  static auto fields(auto& self) { return std::tie(self.name, self.id, self.nodes, self.shards); }
  const NodeView* find(NodeId id) const;
  std::vector<NodeId> up() const;
};

struct Heartbeat {
  static constexpr u16 kMethod = 0x0201;
  using Reply = net::Empty;
  NodeId from{};
  NodeStats stats;
  std::vector<ShardId> leads;  // shards it leads now
  static auto fields(auto& self) { return std::tie(self.from, self.stats, self.leads); }
};
struct GetMap {
  static constexpr u16 kMethod = 0x0202;
  using Reply = ClusterMap;
  static auto fields(auto&) { return std::tie(); }
};

struct MembershipOptions {
  runtime::Duration interval{500'000'000};
  runtime::Duration down_after{2'500'000'000};
};

class Membership {
 public:
  // `own` gives this node's figures and led shards for each heartbeat. Registers Heartbeat and GetMap.
  static std::unique_ptr<Membership> start(runtime::Env& env, net::Client& client, net::MethodTable& methods,
                                           const ClusterSpec& spec, NodeId self,
                                           std::function<Heartbeat()> own, MembershipOptions options = {});
  virtual ~Membership() = default;
  virtual ClusterMap map() const = 0;
  virtual bool is_up(NodeId node) const = 0;
  virtual runtime::Task<void> stop() = 0;
};

}  // namespace claudefs::cluster
