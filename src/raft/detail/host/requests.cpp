// Proposals, read barriers, transfers.
#include <fmt/format.h>

#include "raft/detail/host/host_impl.h"

#include "base/mutant.h"
#include "base/probe.h"

namespace claudefs::raft {

CFS_DEFINE_MUTANT(raft_host_query_without_barrier,
                  "raft: a read is served without lease or quorum: a stale leader answers");

namespace {
Error unknown_group(ShardId id) {
  return Error{Errc::not_leader, fmt::format("group {} is not hosted here", id)};
}
// Commands under way, in memory until they are applied: above it clients wait.
constexpr std::size_t kGroupBytes = 32_MiB;
constexpr std::size_t kNodeBytes = 64_MiB;
constexpr std::size_t kProposalOverhead = 512;  // of whoever waits for it
}  // namespace

// A command alone is always taken.
Result<void> HostImpl::admit(const Group& group, std::size_t bytes) const {
  const std::size_t count = group.proposals.size();
  const bool group_is_full =
      count >= options_.proposals_max || (count != 0 && group.proposed_bytes + bytes > kGroupBytes);
  const bool node_is_full = proposed_bytes_ != 0 && proposed_bytes_ + bytes > kNodeBytes;
  if (!group_is_full && !node_is_full) return {};
  CFS_PROBE(raft_overloaded, "a proposal is told to wait, as too much is under way");
  return fail(Errc::overloaded,
              fmt::format("group {}: {} proposals are under way, {} bytes on this node; try again later",
                          group.id, count, proposed_bytes_));
}

runtime::Task<Result<Buffer>> HostImpl::propose(ShardId id, Buffer command) {
  Group* group = find(id);
  if (group == nullptr) co_return fail(unknown_group(id));
  if (failed_ || stopping_) co_return fail(Errc::not_leader, "raft has stopped on this node");
  if (command.empty()) co_return fail(Errc::invalid_argument, "an empty command cannot be proposed");
  if (command.size() > options_.proposal_bytes_max)
    co_return fail(Errc::too_big, fmt::format("a command of {} bytes, the limit is {}", command.size(),
                                              options_.proposal_bytes_max));
  if (!group->announced) co_return fail(not_leader(*group));
  const std::size_t bytes = command.size() + kProposalOverhead;
  co_await admit(*group, bytes);
  const std::optional<LogIndex> index = group->core.propose(std::move(command), env_.now());
  if (!index) co_return fail(not_leader(*group));
  auto reply = std::make_shared<runtime::Promised<Result<Buffer>>>(env_.executor());
  group->proposals.emplace(*index, Group::Proposal{group->core.term(), bytes, reply});
  group->proposed_bytes += bytes;
  proposed_bytes_ += bytes;
  mark(*group);
  co_return co_await reply->wait();
}

runtime::Task<Result<void>> HostImpl::read_barrier(ShardId id) {
  Group* group = find(id);
  if (group == nullptr) co_return fail(unknown_group(id));
  if (failed_ || stopping_) co_return fail(Errc::unavailable, "raft has stopped on this node");
  const runtime::Instant now = env_.now();
  group->core.used(now);
  if (CFS_MUTANT(raft_host_query_without_barrier) && group->announced) co_return Result<void>{};
  if (holds_lease(id) && group->core.applied_index() >= group->core.commit()) co_return Result<void>{};
  const u64 read = next_read_++;
  auto waiter = std::make_shared<runtime::Promised<Result<LogIndex>>>(env_.executor());
  CFS_PROBE(raft_host_read_index, "a read without a lease asks a quorum");
  if (!group->core.read(read, now)) co_return fail(not_leader(*group));
  group->reads.emplace(read, waiter);
  mark(*group);
  auto answer = co_await waiter->wait_until(now + 2 * options_.election_timeout);
  if (!answer) {
    CFS_PROBE(raft_host_read_unconfirmed, "no quorum confirmed a read");
    group->reads.erase(read);
    co_return fail(Errc::unavailable, fmt::format("group {}: no quorum confirmed the read", id));
  }
  if (!*answer) co_return fail(std::move(answer->error()));
  co_return Result<void>{};
}

runtime::Task<Result<void>> HostImpl::transfer_leadership(ShardId id, NodeId to) {
  Group* group = find(id);
  if (group == nullptr) co_return fail(unknown_group(id));
  if (!group->core.is_leader()) co_return fail(not_leader(*group));
  const Term term = group->core.term();
  const runtime::Instant deadline = env_.now() + 2 * options_.election_timeout;
  if (to == options_.self) co_return Result<void>{};
  if (!group->core.transfer(to, env_.now()))
    co_return fail(Errc::unavailable, fmt::format("group {}: node {} cannot take over now", id, to));
  mark(*group);
  while (env_.now() < deadline && !stopping_) {
    if (group->core.term() > term) co_return Result<void>{};
    if (!group->core.is_transferring()) break;
    co_await env_.executor().sleep(options_.heartbeat / 4);
  }
  co_return fail(Errc::unavailable, fmt::format("group {}: node {} did not take over", id, to));
}

}  // namespace claudefs::raft
