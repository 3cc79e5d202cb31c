// Sessions, leases and waiting for locks on one node: what the leaders of its shards know and do beyond the
// replicated state. docs/architecture/leases.md.
#pragma once

#include <map>
#include <memory>
#include <set>

#include "meta/lease_operations.h"
#include "meta/service/claims.h"
#include "meta/service/lease_table.h"
#include "meta/service/lock_waits.h"
#include "meta/shard_service.h"
#include "runtime/scope.h"
#include "runtime/sync.h"

namespace claudefs::meta {

// A shard while this node leads it.
struct LedShard {
  LedShard(ShardId shard_, Term term_, runtime::Instant now, runtime::Executor& executor)
      : shard(shard_), term(term_), since(now), changed(executor) {}
  ShardId shard;
  Term term;
  runtime::Instant since;
  bool over = false;                 // this node leads it no more
  std::set<SessionId> attached;      // may hold something here
  std::set<SessionId> unreclaimed;   // held something under the former leader, perhaps
  std::set<SessionId> fencing;       // a proposal is under way
  std::map<SessionId, u32> overdue;  // recalls that it owes an answer: its leases are not prolonged any more
  LeaseTable table;
  u64 sequence = 0;
  std::map<InodeId, std::set<SessionId>> lock_waiters;
  runtime::Condition changed;
};
using LedPtr = std::shared_ptr<LedShard>;

class LeaseKeeper {
 public:
  LeaseKeeper(ShardService& service, raft::Host& raft, net::MethodTable& methods);

  void start();
  void begin_leading(ShardId shard, Term term);
  void end_leading(ShardId shard);

  // The kinds it answers itself.
  static bool serves(u16 kind);
  runtime::Task<Result<Buffer>> serve(cluster::ShardRequest request, cluster::LeaseGrants* grants);

  // Claims held while an operation is executed.
  class [[nodiscard]] Guard {
   public:
    Guard() = default;
    Guard(LedPtr led, SessionId session, std::vector<InodeId> changes);
    Guard(Guard&& other) noexcept = default;
    Guard& operator=(Guard&& other) noexcept;
    ~Guard() { release(); }
    const LedPtr& led() const { return led_; }

   private:
    void release();
    LedPtr led_;
    SessionId session_{};
    std::vector<InodeId> changes_;
  };
  // Waits until no lease is in the way. Errors: not_leader; unavailable when it takes long (ask again: what
  // was begun goes on).
  runtime::Task<Result<Guard>> admit(ShardId shard, SessionId session, Claims claims);
  // Without waiting.
  bool free_for(const LedShard& led, SessionId session, const Claims& claims) const;
  // What comes with an answer. `write`: on the last of them a write lease, if nobody holds anything.
  void grant(LedShard& led, SessionId session, const std::vector<InodeId>& inodes, bool write,
             cluster::LeaseGrants* out);
  bool may_show(const LedShard& led, SessionId session, InodeId inode) const;

 private:
  LedPtr led(ShardId shard) const;
  runtime::Task<Result<net::Reply>> keep_alive(net::Request request);
  runtime::Task<Result<Buffer>> acquire(cluster::ShardRequest request, cluster::LeaseGrants* grants);
  runtime::Task<Result<Buffer>> reclaim(cluster::ShardRequest request);
  runtime::Task<Result<Buffer>> attach(cluster::ShardRequest request);
  runtime::Task<Result<Buffer>> detach(cluster::ShardRequest request);
  runtime::Task<Result<Buffer>> set_lock(cluster::ShardRequest request);
  runtime::Task<Result<Buffer>> wait_for_lock(cluster::ShardRequest request);

  void start_recall(const LedPtr& led, InodeId inode, SessionId holder, bool keep_read);
  runtime::Task<void> recall(LedPtr led, InodeId inode, SessionId holder, bool keep_read);
  runtime::Task<void> fence(LedPtr led, SessionId session, std::string_view why);
  void forget_session(LedShard& led, SessionId session);
  void lock_released(LedShard& led, InodeId inode);
  void lock_released_all(LedShard& led);
  bool is_fenced(ShardId shard, SessionId session) const;
  bool is_silent(const LedShard& led, SessionId session) const;
  runtime::Task<void> watch_sessions();
  runtime::Task<void> push(SessionId session, u16 method, Buffer body);

  ShardService& service_;
  raft::Host& raft_;
  runtime::Env& env_;
  std::map<ShardId, LedPtr> led_;
  struct Heard {
    runtime::Instant at{};
    std::weak_ptr<net::Channel> channel;
  };
  std::map<SessionId, Heard> heard_;
  LockWaits waits_;
  runtime::Instant awake_since_{};  // this process may have stood still before
  runtime::Scope scope_;
};

}  // namespace claudefs::meta
