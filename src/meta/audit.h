// What `claudefs fsck` asks of shards: their tables, page by page, and the mending of what it proved wrong.
// Every page is one moment of its shard. Kinds are on the wire: never renumber.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "meta/operations.h"
#include "meta/shard_machine.h"

namespace claudefs::meta {

struct AuditInodesReply {
  struct Row {
    Inode inode;
    bool orphan = false;  // nobody names it: it waits to be purged, or is in the trash
    static auto fields(auto& self) { return std::tie(self.inode, self.orphan); }
  };
  std::vector<Row> rows;
  bool end = false;
  static auto fields(auto& self) { return std::tie(self.rows, self.end); }
};
struct AuditInodes {  // query: in the order of their ids
  static constexpr u16 kKind = 0x0140;
  using Reply = AuditInodesReply;
  InodeId after{};
  u32 rows_max = 1024;
  static auto fields(auto& self) { return std::tie(self.after, self.rows_max); }
};

struct AuditDentriesReply {
  struct Row {
    InodeId directory{};
    u64 cookie = 0;
    Dentry dentry;
    static auto fields(auto& self) { return std::tie(self.directory, self.cookie, self.dentry); }
  };
  std::vector<Row> rows;
  bool end = false;
  static auto fields(auto& self) { return std::tie(self.rows, self.end); }
};
struct AuditDentries {  // query: nameless ones, which only keep a slot, are left out
  static constexpr u16 kKind = 0x0141;
  using Reply = AuditDentriesReply;
  InodeId after_directory{};
  u64 after_cookie = 0;
  u32 rows_max = 1024;
  static auto fields(auto& self) { return std::tie(self.after_directory, self.after_cookie, self.rows_max); }
};

// Extents that refer to chunks. An inode's whole list is in one page, or in several that say so.
struct AuditExtentsReply {
  struct Row {
    InodeId inode{};
    codec::ChunkHash hash;
    static auto fields(auto& self) { return std::tie(self.inode, self.hash); }
  };
  std::vector<Row> rows;
  bool end = false;
  InodeId split{};       // this page's only inode, of which more follows; 0: none
  u64 data_version = 0;  // of that inode; 0 when it is being purged
  std::string next;      // where the next page begins
  u64 seen = 0;          // records looked at
  static auto fields(auto& self) {
    return std::tie(self.rows, self.end, self.split, self.data_version, self.next, self.seen);
  }
};
struct AuditExtents {  // query
  static constexpr u16 kKind = 0x0142;
  using Reply = AuditExtentsReply;
  std::string from;  // `next` of the page before; empty: the beginning
  u32 rows_max = 4096;
  static auto fields(auto& self) { return std::tie(self.from, self.rows_max); }
};

// What waits for something: all of it should be young.
struct AuditPendingReply {
  u64 outbox = 0;
  Hlc oldest_message{};  // 0: none
  u64 prepared = 0;
  Hlc oldest_prepared{};
  u64 decisions = 0;
  Hlc oldest_decision{};
  u64 locks = 0;
  u64 purges = 0;
  u64 orphans = 0;
  static auto fields(auto& self) {
    return std::tie(self.outbox, self.oldest_message, self.prepared, self.oldest_prepared, self.decisions,
                    self.oldest_decision, self.locks, self.purges, self.orphans);
  }
};
struct AuditPending {  // query
  static constexpr u16 kKind = 0x0143;
  using Reply = AuditPendingReply;
  static auto fields(auto&) { return std::tie(); }
};

// Mends an inode or a directory entry; refused (conflict) when the inode is not as it was when it was judged.
struct RepairInode {  // command
  static constexpr u16 kKind = 0x0144;
  using Reply = Nothing;
  InodeId inode{};
  Time if_changed;
  u32 nlink = 0;
  std::optional<u64> size;  // directories: how many entries
  std::optional<InodeId> parent;
  static auto fields(auto& self) {
    return std::tie(self.inode, self.if_changed, self.nlink, self.size, self.parent);
  }
};
struct RepairDentry {  // command: removes an entry that leads nowhere, or names an inode that has no name
  static constexpr u16 kKind = 0x0145;
  using Reply = Nothing;
  InodeId directory{};
  std::string name;
  InodeId leads_to{};  // removed only while it leads there; added as this
  FileType type = FileType::none;
  bool add = false;
  static auto fields(auto& self) {
    return std::tie(self.directory, self.name, self.leads_to, self.type, self.add);
  }
};

void register_audit(OperationTable& table);

}  // namespace claudefs::meta
