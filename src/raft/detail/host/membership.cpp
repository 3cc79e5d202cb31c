// Changes of a group's members, and what follows from them here.
#include <fmt/format.h>

#include "base/log.h"
#include "raft/detail/host/host_impl.h"

namespace claudefs::raft {

namespace {
constexpr runtime::Duration kLookEvery{20'000'000};

Error lost(ShardId id) {
  return Error{Errc::unavailable, fmt::format("group {}: leadership was lost while its members changed", id)};
}
}  // namespace

// Leaders spread over the voters: group g prefers the one at index g mod their number.
void HostImpl::follow_members(Group& group) {
  const std::vector<NodeId>& voters = group.core.configuration().voters;
  if (group.voters == voters) return;
  group.voters = voters;
  group.preferred = voters.empty() ? NodeId{} : voters[group.id.value % voters.size()];
  group.core.set_preferred(group.preferred == options_.self);
}

HostedGroup* HostImpl::find_or_adopt(ShardId id) {
  Group* group = find(id);
  if (group != nullptr || !options_.adopt) return group;
  const Result<void> adopted = options_.adopt(id);
  if (!adopted && not_adopted_.insert(id).second)
    log::error("raft", "a shard that this node is to be a member of cannot be opened",
               {log::kv("group", id), log::kv("error", adopted.error().to_string())});
  return find(id);
}

runtime::Task<Result<void>> HostImpl::until_changed(Group* group, Term term, runtime::Instant deadline) {
  while (group->core.is_changing()) {
    if (!group->core.is_leader() || group->core.term() != term || stopping_) co_return fail(lost(group->id));
    if (env_.now() >= deadline)
      co_return fail(Errc::timed_out,
                     fmt::format("group {}: no quorum accepts the change of members", group->id));
    co_await env_.executor().sleep(kLookEvery);
  }
  co_return Result<void>{};
}

runtime::Task<Result<void>> HostImpl::until_caught_up(Group* group, Term term, std::vector<NodeId> nodes,
                                                      runtime::Instant deadline) {
  for (NodeId node : nodes) {
    while (group->core.match_of(node) < group->core.commit()) {
      if (!group->core.is_leader() || group->core.term() != term || stopping_)
        co_return fail(lost(group->id));
      if (env_.now() >= deadline)
        co_return fail(Errc::timed_out,
                       fmt::format("group {}: node {} does not catch up; is it running, and does it "
                                   "host the group?",
                                   group->id, node));
      co_await env_.executor().sleep(kLookEvery);
    }
  }
  co_return Result<void>{};
}

runtime::Task<Result<void>> HostImpl::change_members(ShardId id, std::vector<NodeId> voters,
                                                     std::vector<NodeId> learners,
                                                     runtime::Duration patience) {
  Group* group = find(id);
  if (group == nullptr) co_return fail(Errc::not_leader, fmt::format("group {} is not hosted here", id));
  if (voters.empty()) co_return fail(Errc::invalid_argument, fmt::format("group {} needs a voter", id));
  if (failed_ || !group->announced) co_return fail(not_leader(*group));
  Core& core = group->core;
  if (core.is_changing() || core.is_transferring())
    co_return fail(Errc::busy, fmt::format("group {}: another change is under way", id));
  const Term term = core.term();
  const runtime::Instant deadline = env_.now() + patience;
  const Configuration wanted = Configuration::of(voters);
  std::vector<NodeId> joining;
  for (NodeId node : wanted.voters)
    if (!core.configuration().is_voter(node)) joining.push_back(node);
  std::vector<NodeId> first = core.configuration().learners;
  first.insert(first.end(), joining.begin(), joining.end());
  if (core.change_members(core.configuration().voters, first, env_.now())) mark(*group);
  co_await until_changed(group, term, deadline);
  Configuration target = wanted;
  target.learners = Configuration::of(std::move(learners)).voters;
  std::erase_if(target.learners, [&](NodeId node) { return wanted.is_voter(node); });
  if (core.configuration() == target) co_return Result<void>{};
  // One that has caught up may fall behind again at once.
  bool begun = false;
  while (!begun) {
    co_await until_caught_up(group, term, joining, deadline);
    if (!core.is_leader() || core.term() != term || stopping_) co_return fail(lost(id));
    begun = core.change_members(target.voters, target.learners, env_.now()).has_value();
    if (begun) break;
    if (env_.now() >= deadline)
      co_return fail(Errc::busy, fmt::format("group {}: the change cannot begin now, try again", id));
    co_await env_.executor().sleep(kLookEvery);
  }
  mark(*group);
  co_await until_changed(group, term, deadline);
  co_return Result<void>{};
}

}  // namespace claudefs::raft
