// Quorums, also those of joint consensus (Raft paper, section 6).
#include "raft/types.h"

namespace claudefs::raft {
namespace {

bool holds(const std::vector<NodeId>& nodes, NodeId node) {
  return std::find(nodes.begin(), nodes.end(), node) != nodes.end();
}

u64 majority_value(const std::vector<NodeId>& nodes, const std::function<u64(NodeId)>& value_of) {
  if (nodes.empty()) return 0;
  std::vector<u64> values;
  values.reserve(nodes.size());
  for (NodeId node : nodes) values.push_back(value_of(node));
  std::sort(values.begin(), values.end(), std::greater<>());
  return values[values.size() / 2];
}

}  // namespace

Configuration Configuration::of(std::vector<NodeId> members) {
  std::sort(members.begin(), members.end());
  members.erase(std::unique(members.begin(), members.end()), members.end());
  Configuration configuration;
  configuration.voters = std::move(members);
  return configuration;
}

bool Configuration::is_voter(NodeId node) const { return holds(voters, node) || holds(outgoing, node); }

std::vector<NodeId> Configuration::everyone() const {
  std::vector<NodeId> all = voters;
  all.insert(all.end(), outgoing.begin(), outgoing.end());
  all.insert(all.end(), learners.begin(), learners.end());
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

bool Configuration::quorum(const std::function<bool(NodeId)>& agrees) const {
  return quorum_value([&](NodeId node) { return u64{agrees(node)}; }) != 0;
}

u64 Configuration::quorum_value(const std::function<u64(NodeId)>& value_of) const {
  const u64 incoming = majority_value(voters, value_of);
  if (outgoing.empty()) return incoming;
  return std::min(incoming, majority_value(outgoing, value_of));
}

}  // namespace claudefs::raft
