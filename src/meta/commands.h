// Commands and queries that shards send each other and leaders propose: never seen by clients.
#pragma once

#include <vector>

#include "meta/detail/parts.h"
#include "meta/operations.h"
#include "meta/quota.h"
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
  std::vector<Inode> inodes;         // as the parts will leave them
  std::vector<FragmentContent> cut;  // what CutEntries will take away
  static auto fields(auto& self) { return std::tie(self.code, self.text, self.inodes, self.cut); }
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

// --- split directories: docs/architecture/directories.md ---

struct GatherFragments {  // to the directory's shard: makes it whole. not_empty: entries are in it or a
                          // fragment
  static constexpr u16 kKind = 0x013e;
  using Reply = Nothing;
  InodeId directory{};
  static auto fields(auto& self) { return std::tie(self.directory); }
};

// --- quotas: docs/quotas.md. `home` is the shard that keeps a subject's limits ---

struct RecordQuota {  // home: SetQuota as a command; tells every shard
  static constexpr u16 kKind = 0x0185;
  struct Reply {
    Hlc version{};
    static auto fields(auto& self) { return std::tie(self.version); }
  };
  QuotaSubject subject;
  QuotaLimits limits;
  InodeId within{};
  static auto fields(auto& self) { return std::tie(self.subject, self.limits, self.within); }
};
struct MakeQuotaDirectory {  // to its shard, when all shards know what it is within. not_empty
  static constexpr u16 kKind = 0x018f;
  using Reply = Nothing;
  InodeId directory{};
  static auto fields(auto& self) { return std::tie(self.directory); }
};
struct LimitSubject {  // home to every shard: whether to ask before use grows
  static constexpr u16 kKind = 0x0186;
  using Reply = Nothing;
  QuotaSubject subject;
  bool bytes = false;
  bool inodes = false;
  Hlc version{};
  InodeId within{};  // of a directory: the next one outwards that has a quota
  static auto fields(auto& self) {
    return std::tie(self.subject, self.bytes, self.inodes, self.version, self.within);
  }
};
struct QuotaGranted {  // home to a shard: it may use so much more
  static constexpr u16 kKind = 0x0187;
  using Reply = Nothing;
  QuotaSubject subject;
  QuotaUse use;
  static auto fields(auto& self) { return std::tie(self.subject, self.use); }
};
struct QuotaMoved {  // a shard to home: so much more (less) is granted to it
  static constexpr u16 kKind = 0x0188;
  using Reply = Nothing;
  QuotaSubject subject;
  QuotaUse use;
  static auto fields(auto& self) { return std::tie(self.subject, self.use); }
};
struct GrantQuota {  // home
  static constexpr u16 kKind = 0x0189;
  struct Reply {
    bool granted = false;  // QuotaGranted is on its way, or nothing limits the subject any more
    std::string why_not;
    static auto fields(auto& self) { return std::tie(self.granted, self.why_not); }
  };
  QuotaSubject subject;
  ShardId shard{};  // who asks
  QuotaUse need;
  static auto fields(auto& self) { return std::tie(self.subject, self.shard, self.need); }
};
struct AskQuota {  // home: GrantQuota, and where that is not enough what other shards do not need comes back
  static constexpr u16 kKind = 0x018a;
  using Reply = GrantQuota::Reply;
  GrantQuota ask;
  static auto fields(auto& self) { return std::tie(self.ask); }
};
struct ReturnQuota {  // any shard: what it does not use goes back
  static constexpr u16 kKind = 0x018b;
  struct Reply {
    QuotaUse returned;  // QuotaMoved is on its way
    static auto fields(auto& self) { return std::tie(self.returned); }
  };
  QuotaSubject subject;
  static auto fields(auto& self) { return std::tie(self.subject); }
};
struct MarkSoft {  // home: whether use is above the soft limits
  static constexpr u16 kKind = 0x018c;
  using Reply = Nothing;
  QuotaSubject subject;
  bool bytes_over = false;
  bool inodes_over = false;
  static auto fields(auto& self) { return std::tie(self.subject, self.bytes_over, self.inodes_over); }
};
struct ReadQuotaRow {  // query
  static constexpr u16 kKind = 0x018d;
  struct Reply {
    QuotaUse use;
    bool limited = false;
    Hlc version{};  // of the limits that it has heard of
    static auto fields(auto& self) { return std::tie(self.use, self.limited, self.version); }
  };
  QuotaSubject subject;
  static auto fields(auto& self) { return std::tie(self.subject); }
};
// With Errc::quota_exceeded: what a command that was not executed would have had to ask for.
struct QuotaNeeds {
  struct Need {
    QuotaSubject subject;
    QuotaUse use;
    static auto fields(auto& self) { return std::tie(self.subject, self.use); }
  };
  std::vector<Need> needs;
  static auto fields(auto& self) { return std::tie(self.needs); }
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
