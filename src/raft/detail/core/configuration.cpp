// Quorums, also those of joint consensus (Raft paper, section 6).
#include <optional>

#include "base/mutant.h"
#include "raft/types.h"

namespace claudefs::raft {

CFS_DEFINE_MUTANT(raft_joint_counts_new_only, "raft: a joint configuration decides without the old voters");
CFS_DEFINE_MUTANT(raft_joint_counts_old_only, "raft: a joint configuration decides without the new voters");
CFS_DEFINE_MUTANT(raft_learner_counts, "raft: learners count like voters");
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

bool Configuration::is_member(NodeId node) const { return is_voter(node) || holds(learners, node); }

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
  if (CFS_MUTANT(raft_learner_counts)) return majority_value(everyone(), value_of);
  const u64 incoming = majority_value(voters, value_of);
  if (outgoing.empty() || CFS_MUTANT(raft_joint_counts_new_only)) return incoming;
  const u64 outgoing_value = majority_value(outgoing, value_of);
  return CFS_MUTANT(raft_joint_counts_old_only) ? outgoing_value : std::min(incoming, outgoing_value);
}

// Any of them at first: only then it is known who votes. What other replicas have beyond the voters is not
// committed, and may never be.
Stand newest_of(const std::map<NodeId, Stand>& told) {
  Stand newest;
  const auto look = [&](const auto& counts) {
    std::optional<Stand> longest;
    for (const auto& [node, stand] : told) {
      newest.term = std::max(newest.term, stand.term);
      if (counts(node) && (!longest || stand.end > longest->end)) longest = stand;
    }
    const bool same =
        !longest || (longest->end == newest.end && longest->configuration == newest.configuration);
    if (!same) newest = Stand{newest.term, longest->end, std::move(longest->configuration)};
    return !same;
  };
  look([](NodeId) { return true; });
  constexpr int kLooksMost = 8;  // each is safe
  for (int i = 0; i < kLooksMost; ++i)
    if (!look([&, members = newest.configuration](NodeId node) { return members.is_voter(node); })) break;
  return newest;
}

}  // namespace claudefs::raft
