// The host behind raft/host.h: a dispatcher; each concern has its file beside this one.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <vector>

#include "raft/detail/host/group.h"
#include "raft/detail/host/pace.h"
#include "raft/detail/host/peer_link.h"
#include "raft/detail/host/peer_watch.h"
#include "raft/detail/host/raft_log.h"
#include "raft/detail/host/wire_messages.h"
#include "raft/host.h"
#include "runtime/scope.h"
#include "runtime/sync.h"

namespace claudefs::raft {

// In the log directory: this node's memory is whole. Empty; docs/formats/raft-log.md.
inline constexpr const char* kMemberFile = "member";

// Durable when it ends.
runtime::Task<Result<void>> forget_membership(runtime::Env& env, std::string log_directory);

class HostImpl final : public Host {
 public:
  HostImpl(runtime::Env& env, net::Client& client, HostOptions options,
           std::function<std::string(NodeId)> address_of, std::unique_ptr<RaftLog> log, bool remembers);
  ~HostImpl() override;
  void serve(net::MethodTable& methods);

  Result<void> add_group(ShardId group, std::vector<NodeId> initial_members, StateMachine& machine) override;
  void start() override;
  runtime::Task<Result<Buffer>> propose(ShardId group, Buffer command) override;
  runtime::Task<Result<void>> read_barrier(ShardId group) override;
  bool holds_lease(ShardId group) const override;
  GroupStatus status(ShardId group) const override;
  std::vector<ShardId> groups() const override;
  std::vector<ShardId> groups_in_log() const override { return log_->groups(); }
  bool is_whole() const override { return remembers_ && takes_part_; }
  u64 log_bytes() const override { return log_->disk_bytes(); }
  void disk_failed(const Error& error) override;
  std::optional<Error> failure() const override { return failed_; }
  std::vector<store::LogFileInfo> log_files() const override { return log_->files(); }
  runtime::Task<Result<void>> verify_log(u32 file) override { return log_->verify(file); }
  runtime::Task<Result<void>> transfer_leadership(ShardId group, NodeId to) override;
  runtime::Task<Result<void>> change_members(ShardId group, std::vector<NodeId> voters,
                                             std::vector<NodeId> learners,
                                             runtime::Duration patience) override;
  runtime::Task<void> stop() override;

 private:
  using Group = HostedGroup;
  struct ToWrite {
    Group* group;
    Persist batch;
  };

  // turn.cpp: what the cores ask for, once per turn of the event loop
  void mark(Group& group);
  runtime::Task<void> run_turns();
  runtime::Task<void> run_ticks();
  runtime::Instant next_tick(runtime::Instant now) const;
  void tick();
  bool all_silent() const;
  void watch_peers(runtime::Instant now);
  void wake_groups(const PeerWatch::Lost& lost, runtime::Instant now);
  void drain(Group& group);
  void route(std::vector<Message> messages);
  void flush_peers();
  PeerLink& link(NodeId node);
  Group* find(ShardId group) const;
  Error not_leader(const Group& group) const;

  // persist.cpp
  void want_write(Group& group);
  runtime::Task<void> run_persist();
  std::vector<ToWrite> take_writes();
  runtime::Task<Result<void>> write(const std::vector<ToWrite>* writes);
  void compact_groups();

  // apply.cpp
  void apply_if_needed(Group& group);
  runtime::Task<void> apply(Group* group);
  void apply_batch(Group& group, std::vector<Entry> entries);
  void leadership_changed(Group& group, const Leadership& now);
  void announce_if_ready(Group& group);
  void reads_ready(Group& group, const std::vector<Ready::Read>& reads);
  void wake_applied(Group& group);
  void fail_waiters(Group& group, const Error& error);
  void answer(Group& group, std::map<LogIndex, Group::Proposal>::iterator proposal, Result<Buffer> reply);
  runtime::Task<void> fetch(Group* group, Ready::Fetch what);

  // snapshots.cpp
  runtime::Task<void> stream_snapshot(Group* group, NodeId peer);
  runtime::Task<Result<LogIndex>> send_snapshot(Group* group, NodeId peer);
  runtime::Task<Result<net::TypedReply<SnapshotReply>>> on_snapshot(SnapshotPiece piece,
                                                                    net::Request request);
  runtime::Task<Result<bool>> send_piece(Group* group, NodeId peer, SnapshotPiece piece, Buffer content);
  runtime::Task<Result<SnapshotReply>> install_piece(Group* group, SnapshotPiece piece, Buffer content);
  Result<void> begin_install(Group& group, const SnapshotPiece& piece);

  // rejoin.cpp
  runtime::Task<void> run_rejoin();
  struct Told;
  runtime::Task<bool> try_rejoin();
  runtime::Task<Told> ask_all();
  runtime::Task<void> ask_one(Told* told, NodeId node);
  bool host_told(const Told& told);
  bool is_complete(Told& told);
  void doubt_if_it_does(Group& group);
  bool must_ask() const;
  runtime::Task<Result<void>> remember();
  runtime::Task<Result<net::TypedReply<StandReply>>> on_ask_stand(net::Request request);

  // requests.cpp
  Result<void> admit(const Group& group, std::size_t bytes) const;
  // membership.cpp
  void follow_members(Group& group);
  HostedGroup* find_or_adopt(ShardId id);
  runtime::Task<Result<void>> until_changed(Group* group, Term term, runtime::Instant deadline);
  runtime::Task<Result<void>> until_caught_up(Group* group, Term term, std::vector<NodeId> nodes,
                                              runtime::Instant deadline);

  // balance.cpp
  void balance();
  void leave_if_slow();
  bool hand_over(Group& group, NodeId to, const char* why);  // false: it cannot take over now
  u32 pace_of(NodeId node) const;

  runtime::Task<Result<net::TypedReply<net::Empty>>> on_messages(RaftMessages batch, net::Request request);

  runtime::Env& env_;
  net::Client& client_;
  const HostOptions options_;
  const std::function<std::string(NodeId)> address_of_;
  std::unique_ptr<RaftLog> log_;
  std::shared_ptr<HostImpl*> alive_;  // handlers in the method table look here

  std::map<ShardId, std::unique_ptr<Group>> groups_;
  std::map<NodeId, std::unique_ptr<PeerLink>> links_;
  std::size_t proposed_bytes_ = 0;  // of all groups
  std::vector<Group*> dirty_;
  std::vector<Group*> to_write_;
  runtime::Condition work_;
  runtime::Condition write_work_;
  bool takes_part_ = false;  // false: what others count on may be forgotten, see rejoin.cpp
  bool remembers_ = false;
  std::string waits_for_;          // what the last try to rejoin lacked
  std::set<ShardId> not_adopted_;  // and said so
  bool stopping_ = false;
  std::optional<Error> failed_;  // the disk is dead: this node takes no part any more
  bool collect_wanted_ = false;
  std::size_t streams_ = 0;
  u64 next_read_ = 1;
  u64 boot_ = 0;  // of this process
  PeerWatch watch_;
  Pace pace_;                    // of this node
  std::map<NodeId, u32> paces_;  // of the others', as they said last; microseconds, 0: not known
  u32 looked_slow_ = 0;          // so many times in succession, next to others
  runtime::Instant next_beat_{};
  runtime::Instant next_balance_{};
  runtime::Instant next_upkeep_{};
  runtime::Scope scope_;  // last: its tasks use everything above
};

}  // namespace claudefs::raft
