// Changes of members: paper section 6, thesis section 4.3. New ones come as learners first. A change of
// voters goes through a joint configuration, in which every decision needs a majority of the old and one of
// the new voters; once that is committed, the leader (whoever it is by then) appends the new one alone. A
// configuration counts from when it is in the log, and ceases to when it is truncated. A leader that is no
// voter any more leads until the change is committed, does not count itself, and then hands over.
#include "base/mutant.h"
#include "raft/core.h"
#include "wire/codec.h"

namespace claudefs::raft {

CFS_DEFINE_MUTANT(raft_change_in_one_step,
                  "raft: any change of voters takes one step, without a joint configuration");
CFS_DEFINE_MUTANT(raft_change_before_commit, "raft: a change begins while the one before is not committed");
CFS_DEFINE_MUTANT(raft_change_survives_truncation,
                  "raft: a configuration counts although its entry was truncated");
CFS_DEFINE_MUTANT(raft_joint_not_committed,
                  "raft: the new configuration follows before the joint one is committed");

std::optional<LogIndex> Core::change_members(std::vector<NodeId> voters, std::vector<NodeId> learners,
                                             Instant now) {
  const bool settled = (!is_changing() || CFS_MUTANT(raft_change_before_commit)) && commit_ >= term_start_;
  if (role_ != Role::leader || is_transferring() || !settled || voters.empty()) return std::nullopt;
  Configuration next = Configuration::of(std::move(voters));
  next.learners = Configuration::of(std::move(learners)).voters;
  std::erase_if(next.learners, [&](NodeId node) { return next.is_voter(node); });
  for (NodeId node : next.voters)
    if (!configuration_.is_voter(node) && match_of(node) < commit_) return std::nullopt;
  if (next == configuration_) return std::nullopt;
  wake(now);
  used_at_ = now;
  if (next.voters != configuration_.voters && !CFS_MUTANT(raft_change_in_one_step))
    next.outgoing = configuration_.voters;
  return append_configuration(std::move(next));
}

LogIndex Core::append_configuration(Configuration next) {
  append_own(EntryKind::configuration, wire::encode(next));
  changes_[log_.last()] = std::move(next);
  follow_configuration();
  return log_.last();
}

Configuration Core::configuration_at(LogIndex index) const {
  auto after = changes_.upper_bound(index);
  return after == changes_.begin() ? base_ : std::prev(after)->second;
}

// After anything that changed the log.
void Core::follow_configuration() {
  if (!CFS_MUTANT(raft_change_survives_truncation))
    changes_.erase(changes_.upper_bound(log_.last()), changes_.end());
  const LogIndex start = log_.start();
  if (!changes_.empty() && changes_.begin()->first <= start) {
    base_ = configuration_at(start);
    changes_.erase(changes_.begin(), changes_.upper_bound(start));
  }
  config_index_ = changes_.empty() ? LogIndex{} : changes_.rbegin()->first;
  configuration_ = changes_.empty() ? base_ : changes_.rbegin()->second;
  if (role_ != Role::leader) return;
  // Those that leave stay until that is committed: they shall know.
  for (NodeId node : configuration_.everyone()) {
    if (node == options_.self) continue;
    auto [it, first] = peers_.try_emplace(node);
    if (first) it->second.next = LogIndex{log_.last().value + 1};
  }
}

// The leader, whenever its commit index moved.
void Core::configuration_committed() {
  const bool may = commit_ >= config_index_ || CFS_MUTANT(raft_joint_not_committed);
  if (!may || commit_ < term_start_ || is_transferring()) return;
  if (!configuration_.outgoing.empty()) {
    Configuration next = configuration_;
    next.outgoing.clear();
    append_configuration(std::move(next));
    return;
  }
  std::erase_if(peers_, [&](auto& peer) {
    if (configuration_.is_member(peer.first)) return false;
    Message last = make(MessageKind::heartbeat, peer.first);
    remind(last, peer.second);
    send(std::move(last));
    return true;
  });
}

void Core::leave_if_removed(Instant now) {
  if (configuration_.is_voter(options_.self) || is_changing() || is_transferring()) return;
  NodeId best{};
  for (NodeId node : configuration_.voters)
    if (best.value == 0 || match_of(node) > match_of(best)) best = node;
  if (!transfer(best, now)) become_follower(hard_.term, NodeId{}, now);
}

}  // namespace claudefs::raft
