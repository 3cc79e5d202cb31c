#include "data/detail/nodes.h"

namespace claudefs::data {

using namespace std::chrono_literals;
constexpr runtime::Duration kAvoidTime = 3s;
constexpr runtime::Duration kRefreshEvery = 1s;

bool Nodes::usable(NodeId node) const {
  const auto avoided = avoid_until_.find(node);
  if (avoided != avoid_until_.end() && env_.now() < avoided->second) return false;
  for (const cluster::NodeView& view : router_.map().nodes)
    if (view.id == node) return view.state == cluster::NodeState::up;
  return false;
}
std::vector<NodeId> Nodes::usable() const {
  std::vector<NodeId> out;
  for (const NodeId node : up())
    if (usable(node)) out.push_back(node);
  return out;
}
bool Nodes::writable(NodeId node) const {
  const cluster::NodeView* view = router_.map().find(node);
  return view != nullptr && view->stats.disk_fault.empty() && usable(node);
}
std::vector<NodeId> Nodes::writable() const {
  std::vector<NodeId> out;
  for (const NodeId node : up())
    if (writable(node)) out.push_back(node);
  return out;
}
std::vector<NodeId> Nodes::up() const {
  std::vector<NodeId> out;
  for (const cluster::NodeView& view : router_.map().nodes)
    if (view.state == cluster::NodeState::up) out.push_back(view.id);
  return out;
}

runtime::Task<void> Nodes::refresh() {
  if (env_.now() - refreshed_ < kRefreshEvery) co_return;
  refreshed_ = env_.now();
  // An old map is still a map: what is missing in it shows when it is used.
  (void)co_await router_.refresh().result();
}

void Nodes::note(NodeId node, const Error& error) {
  switch (error.code) {
    case Errc::unavailable:
    case Errc::connection_lost:
    case Errc::timed_out:
    case Errc::io_error:
      avoid_until_[node] = env_.now() + kAvoidTime;
      break;
    default:  // the node answered: it lives
      break;
  }
}

}  // namespace claudefs::data
