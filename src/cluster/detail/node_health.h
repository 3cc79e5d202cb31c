// Which nodes failed us lately: they are asked after the others, and not before it can pay.
#pragma once

#include <algorithm>
#include <map>

#include "base/ids.h"
#include "runtime/executor.h"

namespace claudefs::cluster::detail {

class NodeHealth {
 public:
  void good(NodeId node) { failing_.erase(node); }
  // An attempt that began at `began` failed at `now`. A node that refuses at once costs nothing to ask again;
  // one that is silent is left alone for as long as it made us wait, longer each time.
  void bad(NodeId node, runtime::Instant began, runtime::Instant now) {
    Failing& at = failing_[node];
    if (now < at.not_before) return;  // others that waited at the same time
    const runtime::Duration cost = now - began;
    at.pause = std::min(std::max(cost, cost > kCheap ? 2 * at.pause : runtime::Duration{}), kPauseMax);
    at.not_before = now + at.pause;
  }
  bool is_suspect(NodeId node) const { return failing_.contains(node); }
  bool may_ask(NodeId node, runtime::Instant now) const {
    const auto at = failing_.find(node);
    return at == failing_.end() || at->second.not_before <= now;
  }

 private:
  static constexpr runtime::Duration kCheap = std::chrono::milliseconds(50);
  static constexpr runtime::Duration kPauseMax = std::chrono::seconds(4);
  struct Failing {
    runtime::Instant not_before{};
    runtime::Duration pause{};
  };
  std::map<NodeId, Failing> failing_;
};

}  // namespace claudefs::cluster::detail
