// All Raft groups of a node: one write-ahead log with group commit across groups, heartbeats coalesced per
// node pair, leaders spread evenly. The deterministic core without I/O is raft/core.h.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "net/rpc.h"
#include "raft/state_machine.h"
#include "runtime/env.h"
#include "store/log.h"

namespace claudefs::raft {

struct HostOptions {
  NodeId self{};
  std::string log_directory;
  runtime::Duration heartbeat{100'000'000};         // 100 ms
  runtime::Duration election_timeout{500'000'000};  // drawn from [1x, 2x]
  runtime::Duration lease_drift_max{50'000'000};    // a lease ends this much before an election may begin
  u64 log_keep_bytes = 64u << 20;                   // for followers that lag, before they need a snapshot
  u64 log_file_bytes = 32u << 20;                   // the log is dropped in files of this size
  runtime::Duration quiesce_after{3'000'000'000};   // unused for so long a group falls silent; 0: never
  runtime::Duration balance_every{5'000'000'000};   // leadership goes back to the preferred member; 0: never
  std::size_t cache_bytes = 1u << 20;               // per group: applied entries kept in memory
  std::size_t proposals_max = 4096;                 // per group, in flight: one more is Errc::overloaded
  std::size_t proposal_bytes_max = 4u << 20;        // a longer command is Errc::too_big
  std::size_t peer_queue_bytes = 16u << 20;         // per peer: above it the oldest messages are dropped
  std::vector<NodeId> nodes;                        // whoever may be a member of a group: all of the cluster
  u16 groups = 0;                                   // of the cluster: their ids are below
  // A group wants this node as a member, and it is not hosted here: add_group, without initial members.
  std::function<Result<void>(ShardId)> adopt;
};

struct GroupStatus {
  ShardId group{};
  bool leader = false;
  bool quiescent = false;  // silent: docs/raft.md
  std::optional<NodeId> leader_hint;
  Term term{};
  LogIndex commit{};
  LogIndex applied{};
  LogIndex last{};
  std::vector<NodeId> members;
  std::vector<NodeId> voters, learners;
  bool changing = false;        // a change of members is not committed yet
  std::vector<NodeId> lagging;  // leader only: members that do not follow closely
};

class Host {
 public:
  // Recovers the log. `address_of` gives a peer's RPC address. Registers its methods in `methods`.
  static runtime::Task<Result<std::unique_ptr<Host>>> open(runtime::Env& env, net::Client& client,
                                                           net::MethodTable& methods, HostOptions options,
                                                           std::function<std::string(NodeId)> address_of);
  virtual ~Host() = default;
  // A group this node is a member of; `initial_members` counts only when the log knows no configuration yet.
  // Without initial members it waits until change_members, elsewhere, adds it. `machine` must outlive the
  // host. Call for all groups, those in the log too, then start(); one to be joined may come later.
  virtual Result<void> add_group(ShardId group, std::vector<NodeId> initial_members,
                                 StateMachine& machine) = 0;
  virtual void start() = 0;

  // Replicates and applies; gives the state machine's reply. Errors: not_leader (surely not applied),
  // unavailable / timed_out / connection_lost (leadership was lost: may or may not be applied), overloaded.
  virtual runtime::Task<Result<Buffer>> propose(ShardId group, Buffer command) = 0;
  // After it, this replica's applied state includes everything that was acknowledged before the call.
  // Lease when it holds, else ReadIndex. Errors: not_leader, unavailable.
  virtual runtime::Task<Result<void>> read_barrier(ShardId group) = 0;
  // True while the leader lease holds right now: re-check after a read that suspended.
  virtual bool holds_lease(ShardId group) const = 0;
  virtual GroupStatus status(ShardId group) const = 0;
  virtual std::vector<ShardId> groups() const = 0;
  virtual std::vector<ShardId> groups_in_log() const { return {}; }
  // This node has all that it promised in its groups: others may count on it (docs/raft.md).
  virtual bool is_whole() const { return true; }
  virtual u64 log_bytes() const = 0;  // that the log takes on disk
  // The disk of the log or of a state machine failed: this node leaves its groups until it is restarted.
  virtual void disk_failed(const Error&) {}
  virtual std::optional<Error> failure() const { return std::nullopt; }  // why it left
  // The log's files, and one of them read whole. Errors: corrupt (it goes within seconds, once the state
  // machines have what it holds durable), not_found (it is gone), io_error.
  virtual std::vector<store::LogFileInfo> log_files() const { return {}; }
  virtual runtime::Task<Result<void>> verify_log(u32 /*file*/) { co_return Result<void>(); }
  virtual runtime::Task<Result<void>> transfer_leadership(ShardId group, NodeId to) = 0;
  // At the leader: makes `voters` and `learners` the group's members, and ends when they are. Joins new
  // voters as learners first, waits until they have caught up (`patience` at most, else timed_out: they stay
  // learners), then goes through joint consensus. Call it again after any error but invalid_argument: what
  // was done stays done. Errors: invalid_argument, not_leader, busy (another change is under way),
  // unavailable (leadership was lost), timed_out. A leader that is no voter any more hands over.
  virtual runtime::Task<Result<void>> change_members(ShardId, std::vector<NodeId> voters,
                                                     std::vector<NodeId> learners,
                                                     runtime::Duration patience) {
    (void)voters, (void)learners, (void)patience;
    co_return fail(Errc::unsupported, "the members of this group are fixed");
  }
  virtual runtime::Task<void> stop() = 0;
};

}  // namespace claudefs::raft
