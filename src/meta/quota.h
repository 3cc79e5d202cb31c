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

}  // namespace claudefs::meta
