// Commands and queries that shards send each other and leaders propose: never seen by clients.
#pragma once

#include <vector>

#include "meta/detail/parts.h"
#include "meta/operations.h"
#include "meta/shard_machine.h"

namespace claudefs::meta {

// Kinds from here on are the data plane's accounting (ChunkDeltas and what data/ registers).
inline constexpr u16 kFirstDataKind = 0x0200;

// The messages of another shard's outbox from number `first` on. Those already applied are skipped; a gap is
// refused. Executed by the machine itself.
struct DeliverReply {
  u64 last = 0;  // number of the last message applied
  static auto fields(auto& self) { return std::tie(self.last); }
};
struct Deliver {
  static constexpr u16 kKind = 0x0130;
  using Reply = DeliverReply;
  ShardId source{};
  u64 first = 0;
  std::vector<CommandEntry> messages;
  static auto fields(auto& self) { return std::tie(self.source, self.first, self.messages); }
};
struct OutboxAck {  // messages up to `through` were delivered
  static constexpr u16 kKind = 0x0137;
  using Reply = Nothing;
  struct Delivered {
    ShardId to{};
    u64 through = 0;
    static auto fields(auto& self) { return std::tie(self.to, self.through); }
  };
  std::vector<Delivered> delivered;
  static auto fields(auto& self) { return std::tie(self.delivered); }
};

struct FindDentryReply {
  std::optional<Dentry> dentry;
  Inode directory;
  static auto fields(auto& self) { return std::tie(self.dentry, self.directory); }
};
struct FindDentry {  // query: the entry itself, whatever shard its inode lives in
  static constexpr u16 kKind = 0x0131;
  using Reply = FindDentryReply;
  InodeId parent{};
  std::string name;
  Caller caller;  // who will change the entry: must have the right to
  static auto fields(auto& self) { return std::tie(self.parent, self.name, self.caller); }
};

// --- transactions: docs/architecture/transactions.md ---

struct PrepareReply {
  Errc code = Errc::ok;  // why not; busy: another transaction holds a key
  std::string text;
  std::vector<Inode> inodes;  // as the parts will leave them
  static auto fields(auto& self) { return std::tie(self.code, self.text, self.inodes); }
};
struct Prepare {
  static constexpr u16 kKind = 0x0132;
  using Reply = PrepareReply;
  TxnId txn{};
  ShardId coordinator{};
  Hlc at{};      // when it was prepared; set by the participant
  u32 step = 0;  // 1, 2...: a participant may be asked for more parts
  std::vector<Part> parts;
  SessionId session{};  // on whose behalf: its own leases stay. 0: nobody's
  static auto fields(auto& self) {
    return std::tie(self.txn, self.coordinator, self.at, self.step, self.parts, self.session);
  }
};
// The decision: performs the coordinator's own parts and tells every participant, or fails and changes
// nothing.
struct Decide {
  static constexpr u16 kKind = 0x0133;
  using Reply = Nothing;  // really `reply`, the answer of the client's operation
  TxnId txn{};
  Hlc deadline{};
  std::vector<Part> parts;
  std::vector<ShardId> participants;
  Buffer reply;
  static auto fields(auto& self) {
    return std::tie(self.txn, self.deadline, self.parts, self.participants, self.reply);
  }
};
struct CommitTransaction {
  static constexpr u16 kKind = 0x0134;
  using Reply = Nothing;
  TxnId txn{};
  static auto fields(auto& self) { return std::tie(self.txn); }
};
struct AbortTransaction {
  static constexpr u16 kKind = 0x0135;
  using Reply = Nothing;
  TxnId txn{};
  static auto fields(auto& self) { return std::tie(self.txn); }
};
struct ResolveReply {
  bool committed = false;
  static auto fields(auto& self) { return std::tie(self.committed); }
};
struct Resolve {  // to the coordinator's shard: settles for good whether `txn` commits
  static constexpr u16 kKind = 0x0136;
  using Reply = ResolveReply;
  TxnId txn{};
  static auto fields(auto& self) { return std::tie(self.txn); }
};

// --- the leader's own ---

struct PurgeInodes {  // forgets inodes that nobody names any more; their extents go to the purge list
  static constexpr u16 kKind = 0x0138;
  using Reply = Nothing;
  std::vector<InodeId> inodes{};  // those that a transaction holds, or that are no orphans, are passed over
  static auto fields(auto& self) { return std::tie(self.inodes); }
};
struct PurgeReply {
  bool more = false;
  static auto fields(auto& self) { return std::tie(self.more); }
};
struct PurgeExtents {  // deletes a bounded number of extents of those on the purge list
  static constexpr u16 kKind = 0x0139;
  using Reply = PurgeReply;
  u32 extents_max = 1000;
  static auto fields(auto& self) { return std::tie(self.extents_max); }
};
struct Expire {  // drops the outcomes of idle sessions, and old tombstones
  static constexpr u16 kKind = 0x013a;
  using Reply = PurgeReply;
  Hlc sessions_before{};
  Hlc tombstones_before{};
  u32 records_max = 1000;
  static auto fields(auto& self) {
    return std::tie(self.sessions_before, self.tombstones_before, self.records_max);
  }
};
// Background rewriting of many files at once. Each by itself is done or, because somebody wrote or removed
// the file meanwhile, not: what was stored for that one is swept as never referred to.
struct RewriteContents {
  static constexpr u16 kKind = 0x013d;
  struct Reply {
    std::vector<InodeId> done;
    static auto fields(auto& self) { return std::tie(self.done); }
  };
  std::vector<CommitWrite> rewrites;  // with keep_data_version, without `then`
  static auto fields(auto& self) { return std::tie(self.rewrites); }
};
struct Format {  // makes the root directory, once
  static constexpr u16 kKind = 0x013b;
  using Reply = Nothing;
  static auto fields(auto&) { return std::tie(); }
};
struct AdmitSession {  // OpenSession with the key that becomes the domain's if it has none yet
  static constexpr u16 kKind = 0x013c;
  using Reply = OpenSessionReply;
  std::string client_name;
  codec::DomainKey proposed;
  bool squash_root = false;
  VolumeId volume{};
  static auto fields(auto& self) {
    return std::tie(self.client_name, self.proposed, self.squash_root, self.volume);
  }
};

}  // namespace claudefs::meta
