// Sessions in a shard, leases and file locks: docs/architecture/leases.md. Kinds are on the wire: never
// renumber.
#pragma once

#include "cluster/shard_call.h"
#include "meta/operations.h"

namespace claudefs::meta {

// How long promises last. The client's time is shorter: the two run on different clocks.
inline constexpr runtime::Duration kKeepAliveEvery{500'000'000};
inline constexpr runtime::Duration kLeaseTrusted{8'000'000'000};     // by the client, from its last sending
inline constexpr runtime::Duration kSessionSilent{10'000'000'000};   // by the leader, from the last receipt
inline constexpr runtime::Duration kRecallAnswered{20'000'000'000};  // by a client that lives

// --- to a shard ---

// Before a session's first other request to a shard. Repeating it is harmless. fenced
struct AttachSession {
  static constexpr u16 kKind = 0x0160;
  using Reply = Nothing;
  SessionId session{};
  static auto fields(auto& self) { return std::tie(self.session); }
};
// From here on the shard refuses every mutation of the session; its locks go. By the leader for one that is
// silent, by a client that ends for itself.
struct FenceSession {
  static constexpr u16 kKind = 0x0161;
  using Reply = Nothing;
  SessionId session{};
  static auto fields(auto& self) { return std::tie(self.session); }
};
// The attributes, with a lease. stale
struct AcquireLease {
  static constexpr u16 kKind = 0x0162;
  using Reply = InodeReply;
  InodeId inode{};
  bool write = false;
  bool only_if_free = false;  // with write: a read lease when somebody else holds any
  Access access = 0;          // what opens: access_denied when not all of it is allowed
  Caller caller;
  static auto fields(auto& self) {
    return std::tie(self.inode, self.write, self.only_if_free, self.access, self.caller);
  }
};
// To a new leader: what the session holds by grants of the former one. not_leader: not in that
// term. fenced
struct ReclaimLeases {
  static constexpr u16 kKind = 0x0163;
  using Reply = Nothing;
  SessionId session{};
  Term term{};  // of the leader that shall know them
  std::vector<cluster::LeaseGrant> leases;
  bool last = false;  // all have been told
  static auto fields(auto& self) { return std::tie(self.session, self.term, self.leases, self.last); }
};

// A lock on bytes [start, end] of a file, or (flock) on the whole of it. The two kinds do not see each other.
struct FileLock {
  SessionId session{};
  u64 owner = 0;  // chosen by the session
  bool flock = false;
  bool exclusive = false;
  u64 start = 0;
  u64 end = INT64_MAX;  // inclusive
  u32 pid = 0;          // for F_GETLK
  bool operator==(const FileLock&) const = default;
  static auto fields(auto& self) {
    return std::tie(self.session, self.owner, self.flock, self.exclusive, self.start, self.end, self.pid);
  }
};
struct SetLockReply {
  std::vector<FileLock> in_the_way;  // empty: done
  static auto fields(auto& self) { return std::tie(self.in_the_way); }
};
struct SetLock {  // to the inode's shard. stale, too_big (more than kLocksMax on a file)
  static constexpr u16 kKind = 0x0164;
  using Reply = SetLockReply;
  InodeId inode{};
  FileLock lock;
  bool unlock = false;
  bool waits = false;  // tell the session (LockReleased) when it may be worth another try
  static auto fields(auto& self) { return std::tie(self.inode, self.lock, self.unlock, self.waits); }
};
struct TestLock {  // what is in the way of `lock`
  static constexpr u16 kKind = 0x0165;
  using Reply = SetLockReply;
  InodeId inode{};
  FileLock lock;
  static auto fields(auto& self) { return std::tie(self.inode, self.lock); }
};
struct LockOwner {
  SessionId session{};
  u64 owner = 0;
  auto operator<=>(const LockOwner&) const = default;
  static auto fields(auto& self) { return std::tie(self.session, self.owner); }
};
struct WaitForLockReply {
  bool circle = false;
  static auto fields(auto& self) { return std::tie(self.circle); }
};
// To shard 0: `waiter` waits for all of `holders`; with none it waits no more. Lives 3 s.
struct WaitForLock {
  static constexpr u16 kKind = 0x0166;
  using Reply = WaitForLockReply;
  LockOwner waiter;
  std::vector<LockOwner> holders;
  static auto fields(auto& self) { return std::tie(self.waiter, self.holders); }
};
inline constexpr std::size_t kLocksMax = 10'000;  // on one file

// --- between a client and a node, over the client's connection ---

struct KeepAliveReply {
  struct Shard {
    ShardId shard{};
    Term term{};
    bool reclaim = false;  // the leader waits for what this session holds
    Hlc limited{};         // when the shard last heard who has a quota; 0: nobody has one
    static auto fields(auto& self) { return std::tie(self.shard, self.term, self.reclaim, self.limited); }
  };
  std::vector<Shard> shards;    // led by the node, where the session is attached
  bool fenced = false;          // in one of them
  bool volume_deleted = false;  // the session's
  u64 volume_version = 0;       // of its policy, where the node knows it
  static auto fields(auto& self) {
    return std::tie(self.shards, self.fenced, self.volume_deleted, self.volume_version);
  }
};
struct KeepAlive {
  static constexpr u16 kMethod = 0x0230;
  using Reply = KeepAliveReply;
  struct Release {
    InodeId inode{};
    Term term{};  // of the grant
    u64 sequence = 0;
    static auto fields(auto& self) { return std::tie(self.inode, self.term, self.sequence); }
  };
  SessionId session{};
  std::vector<Release> released;  // leases that the client has given up
  static auto fields(auto& self) { return std::tie(self.session, self.released); }
};
// Leader to client: give the lease back, or (keep_read) down to read. The answer says that it is done.
struct Recall {
  static constexpr u16 kMethod = 0x0231;
  using Reply = net::Empty;
  SessionId session{};
  InodeId inode{};
  u64 sequence = 0;
  Term term{};
  bool keep_read = false;
  static auto fields(auto& self) {
    return std::tie(self.session, self.inode, self.sequence, self.term, self.keep_read);
  }
};
// Leader to client, best effort: a lock that was in the way may be gone.
struct LockReleased {
  static constexpr u16 kMethod = 0x0232;
  using Reply = net::Empty;
  InodeId inode{};
  static auto fields(auto& self) { return std::tie(self.inode); }
};
// Leader to client, best effort: send a KeepAlive now, there is something to reclaim.
struct LeaderChanged {
  static constexpr u16 kMethod = 0x0233;
  using Reply = net::Empty;
  static auto fields(auto&) { return std::tie(); }
};

}  // namespace claudefs::meta
