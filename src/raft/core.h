// One member of one Raft group, without I/O: deterministic, clock and randomness come in as arguments.
//
// The host feeds it ticks, messages, proposals and completions, and after each batch of inputs drains it:
//   take()          what may happen at once: messages that promise nothing new, reads, work for the host
//   take_persist()  what must be durable first, and the messages that promise it; persisted() says so
// At most one take_persist() is under way; take() goes on meanwhile.
//
// Follows Ongaro's thesis ("Consensus: Bridging Theory and Practice") and the Raft paper; docs/raft.md says
// where it departs. Each transition has its file in detail/core/.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "raft/detail/core/progress.h"
#include "raft/entry_log.h"
#include "raft/types.h"
#include "runtime/executor.h"

namespace claudefs::raft {

using runtime::Duration;
using runtime::Instant;

struct CoreOptions {
  ShardId group{};
  NodeId self{};
  Duration heartbeat{100'000'000};
  Duration election_timeout{500'000'000};  // drawn from [1x, 2x]; followers keep faith in a leader for 1x
  Duration lease_drift_max{50'000'000};
  u64 seed = 1;            // of election timeouts
  bool preferred = false;  // draws short election timeouts, so it tends to win
  std::size_t append_bytes_max = 1_MiB;
  std::size_t inflight_messages = 64;  // per follower
  std::size_t inflight_bytes = 8_MiB;
  std::size_t cache_bytes = 1_MiB;  // applied entries kept in memory
  Duration quiesce_after{0};        // a group in which nothing happens for so long falls silent; 0: never
};

struct Recovered {
  HardState hard_state;
  Configuration configuration;                // at the log's start; without voters: waits to be added
  std::map<LogIndex, Configuration> changes;  // by entries of the log
  EntryLog log;
  LogIndex applied{};  // by the state machine
  Term applied_term{};
};

struct Leadership {
  bool leader = false;
  Term term{};
  NodeId hint{};  // 0: unknown
};

struct Ready {
  std::vector<Message> messages;
  std::optional<Leadership> leadership;  // when it changed
  struct Read {
    u64 id = 0;
    bool ok = false;   // false: leadership was lost
    LogIndex index{};  // serve it once this is applied
  };
  std::vector<Read> reads;
  // Entries that are no longer in memory: read [from, ...] and hand them to fetched().
  struct Fetch {
    NodeId peer{};
    LogIndex from{};
  };
  std::vector<Fetch> fetches;
  std::vector<NodeId> snapshots;  // stream one to these, then snapshot_sent()
};

struct Persist {
  std::optional<HardState> hard_state;
  std::optional<LogStart> start;  // before the entries
  std::vector<Entry> entries;     // replace whatever the disk has from entries.front() on
  std::vector<Message> messages;  // after all of it is durable
  bool nothing_to_write() const { return !hard_state && !start && entries.empty(); }
};

class Core {
 public:
  Core(CoreOptions options, Recovered recovered, Instant now);

  // This replica may have lost its memory: votes, and entries that it acknowledged. `others` is what all
  // other members said (newest_of), asked after the loss. It votes for nobody in their term, and until its
  // log reaches their end it does not stand, and votes as if its log ended there: whatever its lost
  // acknowledgements helped to commit is in the logs of those it votes for. Who is no member any more votes
  // so for ever. docs/raft.md. Call before anything else.
  void rejoin(const Stand& others, Instant now);
  // `node` lost its memory: what it acknowledged is to be sent again.
  void peer_forgot(NodeId node, Instant now);

  // Inputs.
  void tick(Instant now);
  // When a tick is due besides the regular ones: members that only stood at those would often stand at the
  // same moment, and split the votes. Far in the future for who does not stand.
  Instant stands_at() const;
  void step(Message message, Instant now);
  // Gives the entry's index, or nothing when this replica does not take proposals (not the leader, or
  // leadership is being handed over).
  std::optional<LogIndex> propose(Buffer command, Instant now);
  // Leader: begins a change of members (detail/core/membership.cpp), one at a time. Whoever shall vote is a
  // member already, as a learner at least, and has what is committed. Nothing where that cannot be now.
  std::optional<LogIndex> change_members(std::vector<NodeId> voters, std::vector<NodeId> learners,
                                         Instant now);
  void set_preferred(bool preferred) { options_.preferred = preferred; }
  // A linearizable read; false when not the leader. The answer comes as Ready::Read.
  bool read(u64 id, Instant now);
  void persisted();
  void applied(LogIndex index);
  void fetched(NodeId peer, std::vector<Entry> entries, Instant now);  // empty: could not be read
  void compact(LogIndex index);                                        // requires index <= applied
  // Leader: the snapshot at `index` is installed at `peer`, or was not.
  void snapshot_sent(NodeId peer, std::optional<LogIndex> index);
  // Follower: the state machine is about to be replaced, respectively now stands at `start`.
  void snapshot_begins();
  // A committed entry cannot be read back: a snapshot has to bring what it did.
  void cannot_apply(Instant now);
  void snapshot_installed(LogStart start, Instant now);
  // A leader's snapshot stream speaks: as good as a heartbeat. False when it is of a deposed leader.
  bool snapshot_heard(NodeId leader, Term term, Instant now);
  bool transfer(NodeId to, Instant now);

  // Silent groups (detail/core/quiescence.cpp). Neither ticks nor heartbeats: whoever runs the core watches
  // the other nodes instead, and wakes the leader when a member's node is lost or restarted, a follower when
  // its leader's is.
  bool is_quiescent() const { return quiescent_; }
  void wake(Instant now);
  // Silent follower: the leader's node was last heard at `heard`. Call before wake() and step().
  void leader_node_heard(Instant heard);
  // Leader: clients use the group.
  void used(Instant now) { used_at_ = now; }

  // Outputs.
  Ready take(Instant now);
  bool has_output(Instant now) const;  // would take() or take_persist() give anything?
  bool wants_persist() const;
  bool must_write() const;  // would take_persist() give something to write?
  Persist take_persist();

  // State.
  bool is_leader() const { return role_ == Role::leader; }
  // The leader lease holds and everything committed before this term is known to be committed.
  bool holds_lease(Instant now) const;
  bool is_transferring() const { return transfer_to_.value != 0; }
  bool needs_snapshot() const { return needs_snapshot_; }
  Term term() const { return hard_.term; }
  NodeId leader_hint() const { return leader_; }
  LogIndex commit() const { return commit_; }
  LogIndex applied_index() const { return applied_; }
  // Entries up to here may be applied: committed, and durable here, so that the log has no gap after a crash.
  LogIndex apply_limit() const { return needs_snapshot_ ? applied_ : std::min(commit_, log_.persisted()); }
  LogIndex term_start() const { return term_start_; }  // leader: its no-op entry
  LogEnd log_end() const { return {log_.last_term(), log_.last()}; }
  Stand stand() const;  // what is durable here: a leader may have more, and lose it
  // A leader has proof that this replica acknowledged what it does not have. It neither votes nor stands
  // until rejoin().
  bool doubts() const { return doubts_; }
  // After rejoin(): all that was forgotten is durable here again.
  bool remembers() const;
  const EntryLog& log() const { return log_; }
  // The newest in the log counts, committed or not (paper, section 6).
  const Configuration& configuration() const { return configuration_; }
  bool is_changing() const { return config_index_ > commit_ || !configuration_.outgoing.empty(); }
  // Of a log that begins after `index`.
  Configuration configuration_at(LogIndex index) const;
  const HardState& hard_state() const { return hard_; }
  // Leader: the last entry known to be durable at `node`.
  LogIndex match_of(NodeId node) const;
  // Leader: `node` answered within an election timeout.
  bool is_active(NodeId node, Instant now) const;

 private:
  enum class Role : u8 { follower, pre_candidate, candidate, leader };

  // detail/core/dispatch.cpp
  void step_newer_term(Message& message, Instant now);
  void step_older_term(const Message& message);
  void step_same_term(Message& message, Instant now);
  Message make(MessageKind kind, NodeId to) const;
  void send(Message message) { out_.push_back(std::move(message)); }
  void promise(Message message);
  void announce();
  template <class F>
  void for_each_peer(F f) {
    for (auto& [node, progress] : peers_) f(node, progress);
  }

  // detail/core/election.cpp
  u64 draw();
  void reset_election_timer(Instant now);
  void become_follower(Term term, NodeId leader, Instant now);
  void become_leader(Instant now);
  void campaign(bool pre, bool force, Instant now);
  void ask_votes(MessageKind kind, Term term, bool force);
  void on_pre_vote(const Message& message, Instant now);
  void on_vote(const Message& message, Instant now);
  void on_vote_reply(const Message& message, Instant now);
  bool keeps_faith(Instant now) const;
  bool may_stand() const;
  bool is_up_to_date(const Message& candidate) const;
  void check_quorum(Instant now);

  // detail/core/replication.cpp
  void on_append(Message& message, Instant now);
  void on_append_reply(const Message& message, Instant now);
  void refuse_append(const Message& message);
  void replicate_to(NodeId peer, Progress& progress, Instant now);
  bool send_append(NodeId peer, Progress& progress, Instant now);
  void emit_append(NodeId peer, Progress& progress, std::vector<Entry> entries, Instant now);
  void advance_commit();

  // detail/core/heartbeat.cpp
  void broadcast_heartbeat(Instant now);
  void on_heartbeat(const Message& message, Instant now);
  void on_heartbeat_reply(const Message& message, Instant now);
  void heard_from_leader(NodeId leader, Instant now);
  void remind(Message& message, const Progress& progress) const;
  void check_reminder(const Message& message);
  u64 next_stamp(Instant now);
  u64 quorum_stamp() const;

  // detail/core/membership.cpp
  LogIndex append_own(EntryKind kind, Buffer data);
  LogIndex append_configuration(Configuration next);
  void follow_configuration();
  void configuration_committed();
  bool members_are_unknown() const { return log_.start().value != 0 && configuration_.voters.empty(); }
  void leave_if_removed(Instant now);

  // detail/core/quiescence.cpp
  bool is_settled() const;
  bool may_fall_silent(Instant now) const;
  void consider_silence(Instant now);
  void ask_for_silence(u64 stamp);
  void on_quiet(const Message& message, Instant now);
  void on_quiet_reply(const Message& message, Instant now);
  void wake_by(const Message& message, Instant now);

  // detail/core/read.cpp
  void confirm_reads();
  void fail_reads();

  // detail/core/snapshot.cpp
  void restart_log(LogStart start);
  void needs_snapshot_at(NodeId peer, Progress& progress, Instant now);

  // detail/core/transfer.cpp
  void try_timeout_now();
  void check_transfer(Instant now);
  void on_timeout_now(const Message& message, Instant now);

  CoreOptions options_;
  HardState hard_;
  HardState hard_durable_;
  Configuration configuration_;  // the newest of:
  Configuration base_;           // at the log's start
  std::map<LogIndex, Configuration> changes_;
  LogIndex config_index_{};  // of the newest change; 0: base_
  EntryLog log_;
  LogIndex commit_{};
  LogIndex applied_{};
  LogEnd floor_{};  // see rejoin()
  bool doubts_ = false;
  bool needs_snapshot_ = false;  // the state machine stands before the log's start: must not lead

  Role role_ = Role::follower;
  NodeId leader_{};
  Instant contact_at_{};  // when a leader last spoke
  Instant election_due_{};
  u64 random_;
  std::map<NodeId, bool> votes_;
  bool quiescent_ = false;
  u64 quiet_stamp_ = 0;  // follower: of the message by which it fell silent

  // Leader only.
  std::map<NodeId, Progress> peers_;
  LogIndex term_start_{};
  Instant leader_since_{};
  Instant heartbeat_due_{};
  u64 stamp_ = 0;
  bool wants_heartbeat_ = false;
  Instant used_at_{};
  bool asks_for_silence_ = false;
  u64 silence_stamp_ = 0;  // of the first message that asked; answers to earlier ones do not count
  NodeId transfer_to_{};
  Instant transfer_until_{};
  bool timeout_now_sent_ = false;
  struct PendingRead {
    u64 id;
    LogIndex index;
    u64 after;  // confirmed by answers to what was sent after this stamp
  };
  std::vector<PendingRead> reads_;

  // Towards the host.
  std::vector<Message> out_;
  std::vector<Message> promises_;
  Ready ready_;
  std::optional<Leadership> announced_;
  bool start_changed_ = false;
  bool persist_start_ = false;  // of the batch under way
  bool persist_under_way_ = false;
  HardState persist_hard_;
  LogIndex persist_upto_{};  // of the batch under way, lowered by truncation
};

}  // namespace claudefs::raft
