// What a shard stores beside the records that clients see (meta/types.h).
#pragma once

#include <string>
#include <vector>

#include "meta/lease_operations.h"
#include "meta/quota.h"
#include "meta/trash.h"

namespace claudefs::meta {

struct AppliedRecord {
  LogIndex index{};
  Term term{};
  static auto fields(auto& self) { return std::tie(self.index, self.term); }
};
struct HlcRecord {
  Hlc hlc{};
  static auto fields(auto& self) { return std::tie(self.hlc); }
};
struct NumberRecord {
  u64 value = 0;
  static auto fields(auto& self) { return std::tie(self.value); }
};
struct SessionRecord {
  Hlc last_used{};
  u64 dropped_below = 0;
  bool attached = false;  // it may hold leases and locks here
  bool fenced = false;    // nothing of it is executed any more
  static auto fields(auto& self) {
    return std::tie(self.last_used, self.dropped_below, self.attached, self.fenced);
  }
};
struct FileLocksRecord {
  std::vector<FileLock> locks;
  static auto fields(auto& self) { return std::tie(self.locks); }
};
struct DomainKeyRecord {
  codec::DomainKey key;
  static auto fields(auto& self) { return std::tie(self.key); }
};
struct InlineRecord {
  Hlc touched{};
  u64 extents = 0;
  u64 bytes = 0;
  static auto fields(auto& self) { return std::tie(self.touched, self.extents, self.bytes); }
};
struct OrphanRecord {
  Hlc since{};
  bool was_open = false;
  bool linkable = false;  // made without a name, and may be given one
  static auto fields(auto& self) { return std::tie(self.since, self.was_open, self.linkable); }
};
// Something that was removed, under the time when it was: a file, whose inode stays, or a directory, of which
// this is all that is left.
struct TrashRecord {
  InodeId parent{};
  std::string name;
  u64 bytes = 0;  // of a file's data
  std::optional<Inode> directory;
  std::vector<Xattr> xattrs;  // of the directory
  static auto fields(auto& self) {
    return std::tie(self.parent, self.name, self.bytes, self.directory, self.xattrs);
  }
};
// What a shard's inodes cost one subject, and what they may.
struct QuotaRecord {
  QuotaUse use;
  bool bytes_limited = false;
  bool inodes_limited = false;
  QuotaUse allowed;  // of what is limited: use and what is reserved are never more
  i64 reserved = 0;  // bytes that sessions may commit
  Hlc version{};     // of the limits, as last told
  Hlc limited_since{};
  InodeId
      within{};  // of a directory: the next one outwards that has a quota; what it is charged, that is too
  bool is_limited() const { return bytes_limited || inodes_limited; }
  bool is_needed() const { return !use.is_nothing() || is_limited() || reserved != 0 || within != InodeId{}; }
  static auto fields(auto& self) {
    return std::tie(self.use, self.bytes_limited, self.inodes_limited, self.allowed, self.reserved,
                    self.version, self.limited_since, self.within);
  }
};
// At a subject's home.
struct QuotaLimitRecord {
  QuotaLimits limits;
  QuotaUse granted;
  Hlc version{};
  Hlc bytes_over_since{};
  Hlc inodes_over_since{};
  static auto fields(auto& self) {
    return std::tie(self.limits, self.granted, self.version, self.bytes_over_since, self.inodes_over_since);
  }
};
// Set aside for a session's commits to an inode, at each of `subjects`.
struct ReserveRecord {
  i64 bytes = 0;
  std::vector<QuotaSubject> subjects;
  static auto fields(auto& self) { return std::tie(self.bytes, self.subjects); }
};
// Of a shard: how many rows are limited, and when that changed last.
struct LimitedRecord {
  u64 rows = 0;
  Hlc changed{};
  static auto fields(auto& self) { return std::tie(self.rows, self.changed); }
};
// A recount under way: the inodes up to `through` are in its sums, which follow every change of them.
struct RecountRecord {
  u64 run = 0;
  InodeId through{};
  u64 inodes = 0;
  static auto fields(auto& self) { return std::tie(self.run, self.through, self.inodes); }
};
// Of a split directory, and of a fragment.
struct FragmentRecord {
  InodeId directory{};
  u64 first = 0;    // of its own range
  u64 end = 0;      // the cookie behind it; 0: it is the last
  FragmentMap map;  // of the directory itself
  bool holds(u64 cookie) const { return cookie >= first && (end == 0 || cookie < end); }
  static auto fields(auto& self) { return std::tie(self.directory, self.first, self.end, self.map); }
};
struct DecisionRecord {
  Hlc decided{};
  u32 unheard = 0;  // participants whose CommitTransaction is not yet acknowledged
  static auto fields(auto& self) { return std::tie(self.decided, self.unheard); }
};

}  // namespace claudefs::meta
