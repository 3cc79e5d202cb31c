// Heartbeats carry the leader's send time; its echo is what leases, ReadIndex and check-quorum count.
// The host coalesces those of all groups (thesis has one group; docs/raft.md).
#include "base/mutant.h"
#include "base/probe.h"
#include "raft/core.h"

namespace claudefs::raft {

CFS_DEFINE_MUTANT(raft_rolled_back_unnoticed,
                  "raft: a replica that lost acknowledged entries goes on voting");

// Strictly increasing, and otherwise the clock: an answer to a later stamp was surely sent later.
u64 Core::next_stamp(Instant now) {
  stamp_ = std::max(stamp_ + 1, static_cast<u64>(now.ns));
  return stamp_;
}

// The newest time at which a quorum still followed. A group of one is its own quorum, at any time.
u64 Core::quorum_stamp() const {
  return configuration_.quorum_value([&](NodeId node) -> u64 {
    if (node == options_.self) return UINT64_MAX;
    auto it = peers_.find(node);
    return it == peers_.end() ? 0 : it->second.stamp;
  });
}

bool Core::is_active(NodeId node, Instant now) const {
  auto it = peers_.find(node);
  if (it == peers_.end()) return false;
  if (quiescent_) return true;  // else this group would have been woken
  return it->second.stamp + static_cast<u64>(options_.election_timeout.count()) > static_cast<u64>(now.ns);
}

void Core::broadcast_heartbeat(Instant now) {
  wants_heartbeat_ = false;
  // Due at multiples of the interval, so that all groups of a node beat together.
  const i64 interval = std::max<i64>(1, options_.heartbeat.count());
  heartbeat_due_ = Instant{(now.ns / interval + 1) * interval};
  const u64 stamp = next_stamp(now);
  for_each_peer([&](NodeId node, Progress& progress) {
    Message message = make(MessageKind::heartbeat, node);
    message.stamp = stamp;
    message.commit = std::min(commit_, progress.acknowledged_most);
    remind(message, progress);
    send(std::move(message));
  });
  if (asks_for_silence_) ask_for_silence(stamp);
}

// Tells the follower what of the committed entries it once said to have.
void Core::remind(Message& message, const Progress& progress) const {
  const LogIndex index = std::min(commit_, progress.acknowledged_most);
  const auto term = log_.term_at(index);
  if (!term || index.value == 0) return;
  message.hint_index = index;
  message.hint_term = *term;
}

// Whoever does not have it, and is not being filled again, was rolled back.
void Core::check_reminder(const Message& message) {
  if (message.hint_index.value == 0 || message.hint_index < log_.start()) return;
  if (log_.matches(message.hint_index, message.hint_term)) {
    commit_ = std::max(commit_, message.hint_index);
  } else if (log_end() >= floor_ && !needs_snapshot_ && !CFS_MUTANT(raft_rolled_back_unnoticed)) {
    CFS_PROBE(raft_rolled_back_noticed, "a follower learns that it lost what it had acknowledged");
    doubts_ = true;
  }
}

void Core::heard_from_leader(NodeId leader, Instant now) {
  role_ = Role::follower;
  leader_ = leader;
  votes_.clear();
  contact_at_ = now;
  reset_election_timer(now);
}

void Core::on_heartbeat(const Message& message, Instant now) {
  if (role_ == Role::leader) return;
  heard_from_leader(message.from, now);
  check_reminder(message);
  Message reply = make(MessageKind::heartbeat_reply, message.from);
  reply.stamp = message.stamp;
  reply.index = log_.persisted();
  reply.wants_snapshot = needs_snapshot_;
  // It promises the term and nothing of the log: a slow disk shall not cost the leader its lease.
  const bool term_is_durable = hard_durable_.term == hard_.term;
  term_is_durable ? send(std::move(reply)) : promise(std::move(reply));
}

void Core::on_heartbeat_reply(const Message& message, Instant now) {
  auto it = peers_.find(message.from);
  if (role_ != Role::leader || it == peers_.end()) return;
  Progress& progress = it->second;
  progress.stamp = std::max(progress.stamp, message.stamp);
  progress.paused = false;
  if (message.wants_snapshot) needs_snapshot_at(message.from, progress, now);
  // Appends get lost when a peer's queue overflows or its connection breaks: start again from what matched.
  const bool stalled = progress.state == Progress::State::replicate && !progress.in_flight.empty() &&
                       now - progress.moved_at > 4 * options_.heartbeat;
  if (stalled) {
    CFS_PROBE(raft_appends_stalled, "appends got lost with a connection and are sent again");
    progress.begin_probe();
    progress.moved_at = now;
  }
  confirm_reads();
}

}  // namespace claudefs::raft
