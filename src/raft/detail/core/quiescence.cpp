// A group in which nothing goes on falls silent: no heartbeats, no ticks. The leader asks with its heartbeats
// once nothing was asked of it for a while and everybody has, durably and applied, all there is; it falls
// silent itself when all have answered that they did. From then on the nodes watch each other instead of each
// group its leader (PeerWatch). Silence ends with anything but a late answer. A silent leader's lease runs
// out like any other: its first read is a ReadIndex round.
#include "raft/core.h"

namespace claudefs::raft {

bool Core::is_settled() const {
  return commit_ == log_.last() && applied_ == commit_ && log_.persisted() == log_.last() && remembers() &&
         !start_changed_ && !persist_under_way_;
}

bool Core::may_fall_silent(Instant now) const {
  if (options_.quiesce_after.count() == 0 || now - used_at_ < options_.quiesce_after) return false;
  if (!is_settled() || commit_ < term_start_ || is_transferring() || !reads_.empty()) return false;
  return std::all_of(peers_.begin(), peers_.end(), [&](const auto& peer) {
    return peer.second.match == log_.last() && is_active(peer.first, now);
  });
}

void Core::consider_silence(Instant now) {
  const bool may = may_fall_silent(now);
  if (may && peers_.empty()) quiescent_ = true;
  if (may == asks_for_silence_) return;
  asks_for_silence_ = may;
  silence_stamp_ = 0;
}

void Core::ask_for_silence(u64 stamp) {
  if (silence_stamp_ == 0) silence_stamp_ = stamp;
  for_each_peer([&](NodeId node, Progress&) {
    Message message = make(MessageKind::quiet, node);
    message.stamp = stamp;
    message.commit = commit_;
    message.index = log_.last();
    message.log_term = log_.last_term();
    send(std::move(message));
  });
}

void Core::on_quiet(const Message& message, Instant now) {
  if (role_ == Role::leader) return;
  heard_from_leader(message.from, now);
  if (log_end() != LogEnd{message.log_term, message.index}) return;
  commit_ = std::max(commit_, std::min(message.commit, log_.last()));
  if (!is_settled()) return;  // it is asked again with the next heartbeat
  quiescent_ = true;
  quiet_stamp_ = message.stamp;
  log_.evict(applied_, 0);
  Message reply = make(MessageKind::quiet_reply, message.from);
  reply.stamp = message.stamp;
  send(std::move(reply));
}

void Core::on_quiet_reply(const Message& message, Instant now) {
  auto it = peers_.find(message.from);
  if (role_ != Role::leader || it == peers_.end()) return;
  it->second.stamp = std::max(it->second.stamp, message.stamp);
  it->second.quiet = std::max(it->second.quiet, message.stamp);
  if (!asks_for_silence_ || silence_stamp_ == 0 || !may_fall_silent(now)) return;
  for (const auto& [node, progress] : peers_)
    if (progress.quiet < silence_stamp_) return;
  quiescent_ = true;
  asks_for_silence_ = false;
  log_.evict(applied_, 0);
}

void Core::leader_node_heard(Instant heard) {
  if (quiescent_ && role_ != Role::leader) contact_at_ = std::max(contact_at_, heard);
}

void Core::wake(Instant now) {
  if (!quiescent_) return;
  quiescent_ = false;
  if (role_ != Role::leader) return reset_election_timer(contact_at_);
  // What followers last echoed is old, and says nothing about whether they are there.
  leader_since_ = now;
  used_at_ = now;
  wants_heartbeat_ = true;
}

void Core::wake_by(const Message& message, Instant now) {
  const bool late_answer =
      role_ == Role::leader && message.term == hard_.term && !message.wants_snapshot &&
      (message.kind == MessageKind::heartbeat_reply || message.kind == MessageKind::quiet_reply);
  // Sent before, or along with, what silenced this replica, and overtaken.
  const bool overtaken = role_ != Role::leader && message.term == hard_.term &&
                         message.kind == MessageKind::heartbeat && message.stamp <= quiet_stamp_;
  if (!late_answer && !overtaken) wake(now);
}

}  // namespace claudefs::raft
