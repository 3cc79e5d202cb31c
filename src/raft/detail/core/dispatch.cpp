// Which transition an input takes. The rules on terms are those of the paper's figure 2, with the two
// exceptions that pre-vote and leader stickiness need (thesis, sections 4.2.3 and 9.6).
#include <limits>

#include "base/check.h"
#include "base/mutant.h"
#include "raft/core.h"

namespace claudefs::raft {

CFS_DEFINE_MUTANT(raft_vote_not_persisted, "raft: the term is durable before a vote leaves, the vote is not");
CFS_DEFINE_MUTANT(raft_answers_before_flush, "raft: promises leave before they are durable");
CFS_DEFINE_MUTANT(raft_members_of_long_ago,
                  "raft: a crash after a snapshot, before the log says so, leaves the members of before");
CFS_DEFINE_MUTANT(raft_own_entries_unflushed,
                  "raft: a leader counts its own entries before they are durable");

Core::Core(CoreOptions options, Recovered recovered, Instant now)
    : options_(options),
      hard_(recovered.hard_state),
      hard_durable_(recovered.hard_state),
      base_(std::move(recovered.configuration)),
      changes_(std::move(recovered.changes)),
      log_(std::move(recovered.log)),
      commit_(std::max(log_.start(), recovered.applied)),
      applied_(recovered.applied),
      random_(options.seed * 0x9e3779b97f4a7c15u + 1) {
  // A snapshot was installed, and the crash came before the log could follow. What it covers is committed.
  // But who the members are there is not known: the log may name those of long ago.
  if (applied_ > log_.start() && !log_.matches(applied_, recovered.applied_term)) {
    log_.restart_at(applied_, recovered.applied_term);
    if (!CFS_MUTANT(raft_members_of_long_ago)) base_ = Configuration{};
    changes_.clear();
    start_changed_ = true;
  }
  // The record of the term is lost, entries of a later one are not: a vote of ours in that may be forgotten.
  if (log_.last_term() > hard_.term) hard_ = HardState{log_.last_term(), options_.self};
  follow_configuration();
  needs_snapshot_ = applied_ < log_.start() || members_are_unknown();
  // Before the crash this replica may have answered a heartbeat and so promised a lease: keep it.
  const bool may_have_promised = hard_.term.value != 0;
  contact_at_ = may_have_promised ? now : now - options_.election_timeout;
  reset_election_timer(now);
}

void Core::tick(Instant now) {
  if (quiescent_) return;
  if (role_ == Role::leader) {
    check_quorum(now);
    if (role_ == Role::leader) check_transfer(now);
    if (role_ == Role::leader) leave_if_removed(now);
    if (role_ == Role::leader) consider_silence(now);
    if (role_ == Role::leader && now >= heartbeat_due_) wants_heartbeat_ = true;
    return;
  }
  if (now < election_due_) return;
  reset_election_timer(now);
  if (!may_stand()) return;
  campaign(/*pre=*/true, /*force=*/false, now);
}

Instant Core::stands_at() const {
  const bool waits = !quiescent_ && role_ != Role::leader;
  return waits ? election_due_ : Instant{std::numeric_limits<i64>::max()};
}

void Core::step(Message message, Instant now) {
  if (message.to != options_.self || message.group != options_.group) return;
  // Whoever was removed and does not know it stands again and again: it shall not wake the others.
  const bool asks_for_vote = message.kind == MessageKind::pre_vote || message.kind == MessageKind::vote;
  if (quiescent_ && asks_for_vote && !configuration_.is_member(message.from)) return;
  if (quiescent_) wake_by(message, now);
  if (message.term > hard_.term) {
    step_newer_term(message, now);
  } else if (message.term < hard_.term) {
    step_older_term(message);
  } else {
    step_same_term(message, now);
  }
}

void Core::step_newer_term(Message& message, Instant now) {
  switch (message.kind) {
    case MessageKind::pre_vote:
      return on_pre_vote(message, now);
    case MessageKind::pre_vote_reply:
      if (!message.reject) return on_vote_reply(message, now);
      break;
    case MessageKind::vote:
      // Stickiness: who hears a leader does not let a newcomer depose it. The lease rests on this.
      if (keeps_faith(now) && !message.force) return;
      break;
    default:
      break;
  }
  const bool from_leader = message.kind == MessageKind::append || message.kind == MessageKind::heartbeat ||
                           message.kind == MessageKind::quiet;
  become_follower(message.term, from_leader ? message.from : NodeId{}, now);
  step_same_term(message, now);
}

void Core::step_older_term(const Message& message) {
  if (message.kind == MessageKind::append || message.kind == MessageKind::heartbeat) {
    // Tells a deposed leader; also how a replica whose term ran ahead gets the leader to catch up with it.
    Message reply = make(MessageKind::append_reply, message.from);
    reply.reject = true;
    promise(std::move(reply));
  } else if (message.kind == MessageKind::pre_vote) {
    Message reply = make(MessageKind::pre_vote_reply, message.from);
    reply.reject = true;
    promise(std::move(reply));
  }
}

void Core::step_same_term(Message& message, Instant now) {
  switch (message.kind) {
    case MessageKind::pre_vote:
      return on_pre_vote(message, now);
    case MessageKind::vote:
      return on_vote(message, now);
    case MessageKind::pre_vote_reply:
    case MessageKind::vote_reply:
      return on_vote_reply(message, now);
    case MessageKind::append:
      return on_append(message, now);
    case MessageKind::append_reply:
      return on_append_reply(message, now);
    case MessageKind::heartbeat:
      return on_heartbeat(message, now);
    case MessageKind::heartbeat_reply:
      return on_heartbeat_reply(message, now);
    case MessageKind::timeout_now:
      return on_timeout_now(message, now);
    case MessageKind::quiet:
      return on_quiet(message, now);
    case MessageKind::quiet_reply:
      return on_quiet_reply(message, now);
  }
}

void Core::promise(Message message) {
  if (CFS_MUTANT(raft_answers_before_flush)) return send(std::move(message));
  promises_.push_back(std::move(message));
}

Message Core::make(MessageKind kind, NodeId to) const {
  Message message;
  message.kind = kind;
  message.group = options_.group;
  message.from = options_.self;
  message.to = to;
  message.term = hard_.term;
  return message;
}

std::optional<LogIndex> Core::propose(Buffer command, Instant now) {
  if (role_ != Role::leader || is_transferring()) return std::nullopt;
  wake(now);
  used_at_ = now;
  return append_own(EntryKind::command, std::move(command));
}

// The leader's next entry.
LogIndex Core::append_own(EntryKind kind, Buffer data) {
  Entry entry;
  entry.index = LogIndex{log_.last().value + 1};
  entry.term = hard_.term;
  entry.kind = kind;
  entry.data = std::move(data);
  log_.append(std::move(entry));
  return log_.last();
}

void Core::applied(LogIndex index) {
  CFS_CHECK(index >= applied_ && index <= commit_);
  applied_ = index;
  log_.evict(std::min(applied_, log_.persisted()), options_.cache_bytes);
}

void Core::announce() {
  const Leadership now{role_ == Role::leader, hard_.term, leader_};
  const bool same = announced_ && announced_->leader == now.leader && announced_->hint == now.hint &&
                    announced_->term == now.term;
  if (same) return;
  announced_ = now;
  ready_.leadership = now;
}

Ready Core::take(Instant now) {
  if (role_ == Role::leader) {
    if (wants_heartbeat_) broadcast_heartbeat(now);
    for_each_peer([&](NodeId node, Progress& progress) { replicate_to(node, progress, now); });
  }
  announce();
  Ready out = std::move(ready_);
  ready_ = Ready{};
  out.messages = std::move(out_);
  out_.clear();
  return out;
}

bool Core::must_write() const {
  return start_changed_ || hard_ != hard_durable_ || log_.persisted() < log_.last();
}

bool Core::wants_persist() const { return !persist_under_way_ && (must_write() || !promises_.empty()); }

bool Core::has_output(Instant now) const {
  const bool leads = role_ == Role::leader;
  if (!out_.empty() || wants_persist() || !ready_.reads.empty()) return true;
  if (leads && (wants_heartbeat_ || (!quiescent_ && now >= heartbeat_due_))) return true;
  return !announced_ || announced_->leader != leads || announced_->hint != leader_;
}

Persist Core::take_persist() {
  CFS_CHECK(!persist_under_way_);
  persist_under_way_ = true;
  Persist out;
  if (hard_ != hard_durable_) out.hard_state = hard_;
  if (CFS_MUTANT(raft_vote_not_persisted) && out.hard_state) out.hard_state->vote = NodeId{};
  if (start_changed_) out.start = LogStart{log_.start(), log_.start_term(), base_};
  persist_start_ = start_changed_;
  start_changed_ = false;
  out.entries = log_.slice(LogIndex{log_.persisted().value + 1}, log_.last(), SIZE_MAX);
  out.messages = std::move(promises_);
  promises_.clear();
  persist_hard_ = hard_;
  persist_upto_ = log_.last();
  return out;
}

void Core::persisted() {
  CFS_CHECK(persist_under_way_);
  persist_under_way_ = persist_start_ = false;
  hard_durable_ = persist_hard_;
  log_.set_persisted(std::max(log_.persisted(), persist_upto_));
  if (role_ == Role::leader) {
    advance_commit();
    confirm_reads();
  }
}

LogIndex Core::match_of(NodeId node) const {
  if (node == options_.self) return CFS_MUTANT(raft_own_entries_unflushed) ? log_.last() : log_.persisted();
  auto it = peers_.find(node);
  return it == peers_.end() ? LogIndex{} : it->second.match;
}

}  // namespace claudefs::raft
