// Quotas: what inodes cost, and whom. docs/quotas.md. Kinds are on the wire: never renumber.
#pragma once

#include <string>
#include <vector>

#include "meta/operations.h"

namespace claudefs::meta {

// Stored: never renumber.
enum class QuotaKind : u8 { volume = 1, user = 2, group = 3, directory = 4 };

// Who is charged: a volume, a user or group in it (by owner), a directory that has a quota.
struct QuotaSubject {
  QuotaKind kind = QuotaKind::volume;
  VolumeId volume{};
  u64 id = 0;  // uid, gid or inode; of a volume 0
  auto operator<=>(const QuotaSubject&) const = default;
  static auto fields(auto& self) { return std::tie(self.kind, self.volume, self.id); }
};
std::string to_string(const QuotaSubject& subject);  // "user 1001 in volume 1"

struct QuotaUse {
  i64 bytes = 0;  // allocated, before reduction: st_blocks
  i64 inodes = 0;
  bool operator==(const QuotaUse&) const = default;
  QuotaUse& operator+=(const QuotaUse& other) {
    bytes += other.bytes;
    inodes += other.inodes;
    return *this;
  }
  QuotaUse operator-() const { return {-bytes, -inodes}; }
  bool is_nothing() const { return *this == QuotaUse{}; }
  static auto fields(auto& self) { return std::tie(self.bytes, self.inodes); }
};

struct ListQuotaReply {
  struct Row {
    QuotaSubject subject;
    QuotaUse use;
    static auto fields(auto& self) { return std::tie(self.subject, self.use); }
  };
  std::vector<Row> rows;
  bool end = false;
  static auto fields(auto& self) { return std::tie(self.rows, self.end); }
};
struct ListQuota {  // query, to every shard: what its inodes cost, in the order of subjects
  static constexpr u16 kKind = 0x0180;
  using Reply = ListQuotaReply;
  QuotaSubject after{QuotaKind{}, {}, 0};
  u32 rows_max = 1024;
  static auto fields(auto& self) { return std::tie(self.after, self.rows_max); }
};

struct RecountQuotaReply {
  struct Difference {
    QuotaSubject subject;
    QuotaUse recorded;
    QuotaUse counted;
    static auto fields(auto& self) { return std::tie(self.subject, self.recorded, self.counted); }
  };
  u64 run = 0;
  u64 inodes = 0;  // counted so far
  bool end = false;
  std::vector<Difference> differences;  // at the end: as they were, also where they are mended
  static auto fields(auto& self) { return std::tie(self.run, self.inodes, self.end, self.differences); }
};
// A step of counting anew, while the shard is in use. conflict: another has begun one since.
struct RecountQuota {  // command
  static constexpr u16 kKind = 0x0181;
  using Reply = RecountQuotaReply;
  u64 run = 0;  // 0: begin; else the number that the first answer gave
  u32 inodes_max = 1024;
  bool repair = false;  // at the end what was counted is recorded
  static auto fields(auto& self) { return std::tie(self.run, self.inodes_max, self.repair); }
};

// What a subject may use. 0: no limit.
struct QuotaLimits {
  QuotaUse hard;
  QuotaUse soft;  // may be passed for the grace; then it is a hard one until use is below it again
  u64 grace_seconds = 604800;  // a week
  bool limits_bytes() const { return hard.bytes != 0 || soft.bytes != 0; }
  bool limits_inodes() const { return hard.inodes != 0 || soft.inodes != 0; }
  bool operator==(const QuotaLimits&) const = default;
  static auto fields(auto& self) { return std::tie(self.hard, self.soft, self.grace_seconds); }
};
// The shard that keeps a subject's limits and hands out what they allow.
ShardId home_of(const QuotaSubject& subject, u16 shard_count);

// --- to the subject's home shard ---

struct SetQuotaReply {
  std::vector<ShardId> unheard;  // will hear of it when they are led again
  static auto fields(auto& self) { return std::tie(self.unheard); }
};
// New limits (all 0: none). In force when it answers, but for what `unheard` names. A directory is counted
// from its first quota on: not_empty when it holds anything by then, not_directory, stale.
struct SetQuota {
  static constexpr u16 kKind = 0x0182;
  using Reply = SetQuotaReply;
  QuotaSubject subject;
  QuotaLimits limits;
  static auto fields(auto& self) { return std::tie(self.subject, self.limits); }
};
struct QuotaStateReply {
  QuotaLimits limits;
  QuotaUse use;      // over all shards, where there are limits
  InodeId within{};  // of a directory: the next one outwards that has a quota
  static auto fields(auto& self) { return std::tie(self.limits, self.use, self.within); }
};
struct QuotaState {  // query
  static constexpr u16 kKind = 0x018e;
  using Reply = QuotaStateReply;
  QuotaSubject subject;
  static auto fields(auto& self) { return std::tie(self.subject); }
};
struct ListLimitsReply {
  struct Row {
    QuotaSubject subject;
    QuotaLimits limits;
    QuotaUse granted;        // what shards may use altogether
    Hlc bytes_over_since{};  // the soft limit; 0: not passed
    Hlc inodes_over_since{};
    static auto fields(auto& self) {
      return std::tie(self.subject, self.limits, self.granted, self.bytes_over_since, self.inodes_over_since);
    }
  };
  std::vector<Row> rows;
  static auto fields(auto& self) { return std::tie(self.rows); }
};
struct ListLimits {  // query: those that this shard is the home of
  static constexpr u16 kKind = 0x0183;
  using Reply = ListLimitsReply;
  static auto fields(auto&) { return std::tie(); }
};

// --- to the shard of an inode ---

struct ReserveQuotaReply {
  bool limited = false;  // false: nobody who is charged for it has a limit on bytes
  u64 bytes = 0;         // more than before
  static auto fields(auto& self) { return std::tie(self.limited, self.bytes); }
};
// Before a client takes bytes that it will commit later: they are set aside for this session and inode, and
// what its commits add to the inode's charge comes out of that. quota_exceeded, stale
struct ReserveQuota {  // command
  static constexpr u16 kKind = 0x0184;
  using Reply = ReserveQuotaReply;
  InodeId inode{};
  u64 least = 0;
  u64 most = 0;          // where there is plenty
  bool release = false;  // all that is left is given back
  static auto fields(auto& self) { return std::tie(self.inode, self.least, self.most, self.release); }
};

}  // namespace claudefs::meta
