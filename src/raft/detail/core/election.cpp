// Elections: paper section 5.2 and 5.4.1; pre-vote, thesis section 9.6; check-quorum, section 6.2.
#include "base/check.h"
#include "base/mutant.h"
#include "base/probe.h"
#include "raft/core.h"

namespace claudefs::raft {

CFS_DEFINE_MUTANT(raft_breaks_faith, "raft: a follower votes although a leader was promised its faith");
CFS_DEFINE_MUTANT(raft_forgets_floor, "raft: a replica that lost its memory votes at once");
CFS_DEFINE_MUTANT(raft_leaver_does_not_stand,
                  "raft: who leaves does not stand, although its log may be the only one that can win");
CFS_DEFINE_MUTANT(raft_votes_for_older_logs, "raft: a vote does not compare the logs");
CFS_DEFINE_MUTANT(raft_votes_twice, "raft: a vote is given again in the same term");

u64 Core::draw() {
  random_ += 0x9e3779b97f4a7c15u;
  u64 z = random_;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

// The preferred member draws from the first fifth of [1x, 2x], the others from the rest.
void Core::reset_election_timer(Instant now) {
  const u64 base = static_cast<u64>(options_.election_timeout.count());
  const u64 fifth = std::max<u64>(1, base / 5);
  const u64 extra = options_.preferred ? draw() % fifth : fifth + draw() % std::max<u64>(1, base - fifth);
  election_due_ = now + Duration(static_cast<i64>(base + extra));
}

void Core::become_follower(Term term, NodeId leader, Instant now) {
  if (term > hard_.term) hard_ = HardState{term, NodeId{}};
  const bool was_leader = role_ == Role::leader;
  role_ = Role::follower;
  quiescent_ = false;
  leader_ = leader;
  votes_.clear();
  peers_.clear();
  transfer_to_ = NodeId{};
  timeout_now_sent_ = false;
  if (was_leader) fail_reads();
  reset_election_timer(now);
}

void Core::campaign(bool pre, bool force, Instant now) {
  role_ = pre ? Role::pre_candidate : Role::candidate;
  leader_ = NodeId{};
  votes_.clear();
  votes_[options_.self] = true;
  if (!pre) hard_ = HardState{Term{hard_.term.value + 1}, options_.self};
  reset_election_timer(now);
  if (configuration_.quorum([&](NodeId node) { return node == options_.self; })) {
    if (pre) return campaign(false, force, now);
    return become_leader(now);
  }
  if (pre) return ask_votes(MessageKind::pre_vote, Term{hard_.term.value + 1}, force);
  ask_votes(MessageKind::vote, hard_.term, force);
}

// A vote is asked for only once the own vote and term are durable: it counts itself.
void Core::ask_votes(MessageKind kind, Term term, bool force) {
  for (NodeId node : configuration_.everyone()) {
    if (node == options_.self || !configuration_.is_voter(node)) continue;
    Message message = make(kind, node);
    message.term = term;
    message.index = log_.last();
    message.log_term = log_.last_term();
    message.force = force;
    promise(std::move(message));
  }
}

// A leader spoke within the shortest election timeout, or we are the leader.
bool Core::keeps_faith(Instant now) const {
  if (CFS_MUTANT(raft_breaks_faith)) return role_ == Role::leader;
  return role_ == Role::leader || now - contact_at_ < options_.election_timeout;
}

void Core::rejoin(const Stand& others, Instant now) {
  if (CFS_MUTANT(raft_forgets_floor)) return;
  CFS_PROBE(raft_rejoined, "a member without memory has heard all the others");
  // A vote of ours in that term may be forgotten.
  if (others.term > hard_.term || (others.term == hard_.term && hard_.vote.value == 0))
    hard_ = HardState{others.term, options_.self};
  floor_ = others.end;
  const bool belongs = others.configuration.is_member(options_.self);
  if (belongs && members_are_unknown()) {
    base_ = others.configuration;
    follow_configuration();
    start_changed_ = true;
    needs_snapshot_ = applied_ < log_.start();
  } else if (!belongs && floor_ > log_end()) {
    // Nobody fills it up again. A log that begins there makes the promise durable.
    CFS_PROBE(raft_rejoined_outside, "who lost its memory hears that it is no member any more");
    restart_log({floor_.index, floor_.term, others.configuration});
    needs_snapshot_ = true;
  }
  doubts_ = false;
  contact_at_ = now;  // and a promised lease
  reset_election_timer(now);
}

Stand Core::stand() const {
  const LogIndex last = log_.persisted();
  return {hard_.term, {log_.term_at(last).value_or(Term{}), last}, configuration_at(last)};
}

bool Core::remembers() const {
  const LogEnd durable = stand().end;
  const bool is_filled = !needs_snapshot_ || !configuration_.is_member(options_.self);
  return !doubts_ && durable >= floor_ && hard_durable_ == hard_ && is_filled && !start_changed_ &&
         !persist_start_;
}

// Who leaves may be the one with the newest log, and be needed, until that is committed (thesis, section
// 4.2.2); its own vote does not count then.
bool Core::may_stand() const {
  const bool leaves = config_index_ > commit_ && !CFS_MUTANT(raft_leaver_does_not_stand) &&
                      configuration_at(LogIndex{config_index_.value - 1}).is_voter(options_.self);
  return !needs_snapshot_ && !doubts_ && log_end() >= floor_ &&
         (leaves || configuration_.is_voter(options_.self));
}

bool Core::is_up_to_date(const Message& candidate) const {
  if (CFS_MUTANT(raft_votes_for_older_logs)) return true;
  if (doubts_) return false;
  return log_.is_newer_or_equal(candidate.index, candidate.log_term) &&
         LogEnd{candidate.log_term, candidate.index} >= floor_;
}

void Core::on_pre_vote(const Message& message, Instant now) {
  const bool grant = message.term > hard_.term && !keeps_faith(now) && is_up_to_date(message);
  Message reply = make(MessageKind::pre_vote_reply, message.from);
  reply.reject = !grant;
  if (grant) reply.term = message.term;
  promise(std::move(reply));
}

void Core::on_vote(const Message& message, Instant now) {
  // The term may have moved since a leader was promised a lease.
  if (keeps_faith(now) && !message.force) return;
  const bool again = CFS_MUTANT(raft_votes_twice) && role_ == Role::follower;
  const bool free = again || hard_.vote == message.from || (hard_.vote.value == 0 && leader_.value == 0);
  const bool grant = free && is_up_to_date(message);
  if (grant) {
    hard_.vote = message.from;
    reset_election_timer(now);
  }
  Message reply = make(MessageKind::vote_reply, message.from);
  reply.reject = !grant;
  promise(std::move(reply));
}

void Core::on_vote_reply(const Message& message, Instant now) {
  const bool pre = message.kind == MessageKind::pre_vote_reply;
  if (pre) {
    const bool awaited =
        role_ == Role::pre_candidate && (message.reject || message.term.value == hard_.term.value + 1);
    if (!awaited) return;
  } else if (role_ != Role::candidate) {
    return;
  }
  votes_[message.from] = !message.reject;
  const bool won = configuration_.quorum([&](NodeId node) {
    auto vote = votes_.find(node);
    return vote != votes_.end() && vote->second;
  });
  if (!won) return;
  if (pre) return campaign(false, false, now);
  become_leader(now);
}

void Core::become_leader(Instant now) {
  CFS_CHECK(hard_.vote == options_.self && !needs_snapshot_);
  role_ = Role::leader;
  leader_ = options_.self;
  leader_since_ = now;
  used_at_ = now;
  asks_for_silence_ = false;
  votes_.clear();
  reads_.clear();
  transfer_to_ = NodeId{};
  timeout_now_sent_ = false;
  peers_.clear();
  for (NodeId node : configuration_.everyone()) {
    if (node == options_.self) continue;
    Progress& progress = peers_[node];
    progress.next = LogIndex{log_.last().value + 1};
    progress.moved_at = now;
  }
  // Commits what earlier terms left behind, and dates this leader's knowledge (thesis, section 6.4).
  Entry noop;
  noop.index = LogIndex{log_.last().value + 1};
  noop.term = hard_.term;
  log_.append(std::move(noop));
  term_start_ = log_.last();
  wants_heartbeat_ = true;
}

// A leader that no quorum answers steps down, so that clients look elsewhere (thesis, section 6.2).
void Core::check_quorum(Instant now) {
  if (now - leader_since_ < options_.election_timeout) return;
  const u64 heard = quorum_stamp();
  const u64 wanted = static_cast<u64>((now - options_.election_timeout).ns);
  if (heard >= wanted) return;
  become_follower(hard_.term, NodeId{}, now);
}

}  // namespace claudefs::raft
