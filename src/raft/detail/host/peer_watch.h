// Which other nodes are there: one sign of life per node pair and heartbeat, on behalf of all silent groups.
// Has no clock and no I/O.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "raft/core.h"

namespace claudefs::raft {

class PeerWatch {
 public:
  explicit PeerWatch(Duration timeout) : timeout_(timeout) {}

  struct Lost {
    NodeId node{};
    Instant heard_at{};  // when it was last known to be there
  };
  // Anything came from `node`, whose process is `boot`. Gives a value when the process it was before is gone.
  std::optional<Lost> heard(NodeId node, u64 boot, Instant now) {
    auto [it, first] = peers_.try_emplace(node);
    Peer& peer = it->second;
    const bool restarted = !first && peer.boot != boot;
    const Lost before{node, peer.heard_at};
    peer = Peer{boot, now, true};
    if (!restarted) return std::nullopt;
    return before;
  }
  // Those that were not heard for the timeout; each once.
  std::vector<Lost> lost(Instant now) {
    std::vector<Lost> out;
    for (auto& [node, peer] : peers_) {
      if (!peer.there || now - peer.heard_at < timeout_) continue;
      peer.there = false;
      out.push_back({node, peer.heard_at});
    }
    return out;
  }
  // Long ago when it never was.
  Instant heard_at(NodeId node) const {
    auto it = peers_.find(node);
    return it == peers_.end() ? Instant{} : it->second.heard_at;
  }
  bool is_there(NodeId node) const {
    auto it = peers_.find(node);
    return it != peers_.end() && it->second.there;
  }

 private:
  struct Peer {
    u64 boot = 0;
    Instant heard_at{};
    bool there = false;
  };
  Duration timeout_;
  std::map<NodeId, Peer> peers_;
};

// What a core has to know of a node that is lost. True when that woke it.
inline bool wake_for(Core& core, const PeerWatch::Lost& lost, NodeId self, Instant now) {
  if (!core.is_quiescent()) return false;
  const bool concerns = core.leader_hint() == self ? core.configuration().is_member(lost.node)
                                                   : core.leader_hint() == lost.node;
  if (!concerns) return false;
  core.leader_node_heard(lost.heard_at);
  core.wake(now);
  return true;
}

}  // namespace claudefs::raft
