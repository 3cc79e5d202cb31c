// The trash: files that lost their last name, and directories that were removed, until they are emptied.
// docs/trash.md says what enters; Unlink and RemoveDirectory put things there. Kinds are on the wire: never
// renumber.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "meta/operations.h"
#include "runtime/executor.h"

namespace claudefs::meta {

// What leaders do about it.
struct TrashPolicy {
  runtime::Duration keep{};  // then it is emptied, unless a volume says another time; 0: nothing enters
  std::function<bool()> is_space_short = {};  // then it is emptied sooner, oldest first; empty: never
};

struct Xattr {
  std::string name;
  Buffer value;
  static auto fields(auto& self) { return std::tie(self.name, self.value); }
};

// Where a listing or emptying goes on: behind what was removed then.
struct TrashPlace {
  Hlc removed{};
  InodeId inode{};
  static auto fields(auto& self) { return std::tie(self.removed, self.inode); }
};

struct ListTrashReply {
  struct Row {
    Hlc removed{};
    InodeId parent{};  // the directory it was in, and its name there
    std::string name;
    Inode inode;                // of a file as it is, of a directory as it was
    std::vector<Xattr> xattrs;  // of a directory
    static auto fields(auto& self) {
      return std::tie(self.removed, self.parent, self.name, self.inode, self.xattrs);
    }
  };
  std::vector<Row> rows;
  TrashPlace next;
  bool end = false;
  static auto fields(auto& self) { return std::tie(self.rows, self.next, self.end); }
};
struct ListTrash {  // query, to every shard: the caller's own, all for root, in the order in which they went
  static constexpr u16 kKind = 0x0170;
  using Reply = ListTrashReply;
  TrashPlace after;
  u32 rows_max = 1024;  // that it looks at
  Caller caller;
  VolumeId volume{};  // 0: of all
  static auto fields(auto& self) { return std::tie(self.after, self.rows_max, self.caller, self.volume); }
};

struct EmptyTrashReply {
  u64 files = 0;
  u64 bytes = 0;
  TrashPlace next;
  bool end = false;
  static auto fields(auto& self) { return std::tie(self.files, self.bytes, self.next, self.end); }
};
struct EmptyTrash {  // to every shard: the caller's own, all for root, oldest first
  static constexpr u16 kKind = 0x0171;
  using Reply = EmptyTrashReply;
  TrashPlace after;
  Hlc before{};             // only what was removed before
  u32 rows_max = 512;       // that it looks at
  u64 bytes_max = ~u64{0};  // ends with the file that reaches it
  Caller caller;
  VolumeId volume{};  // 0: of all
  static auto fields(auto& self) {
    return std::tie(self.after, self.before, self.rows_max, self.bytes_max, self.caller, self.volume);
  }
};

struct ExpireTrash {  // the leader's own: what has been there for as long as its volume keeps it
  static constexpr u16 kKind = 0x0173;
  using Reply = Nothing;
  std::vector<TrashPlace> places;
  static auto fields(auto& self) { return std::tie(self.places); }
};

// Gives a file in the trash a name again: to the shard of that name's directory; may span shards. not_found
// (not in the trash), not_permitted (not the caller's), and those of Link.
struct RestoreFile {
  static constexpr u16 kKind = 0x0172;
  using Reply = InodeReply;
  InodeId inode{};
  InodeId new_parent{};
  std::string new_name;
  Caller caller;
  static auto fields(auto& self) { return std::tie(self.inode, self.new_parent, self.new_name, self.caller); }
};

}  // namespace claudefs::meta
