// Parts: the elementary changes that name-space operations are made of.
//
// An operation inside one shard performs its parts in its own command. One that spans shards has each other
// shard prepare its parts: they are validated, the keys they rely on locked, and performed when the
// coordinator has decided (meta/txn/).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "meta/detail/inherit.h"
#include "meta/shard_machine.h"
#include "meta/volumes.h"

namespace claudefs::meta {

// Makes, replaces or removes a directory entry.
struct ChangeDentry {
  InodeId parent{};
  std::string name;
  InodeId expected{};  // what the name has before; 0: nothing
  InodeId inode{};     // what it shall have; 0: nothing
  FileType type = FileType::none;
  static auto fields(auto& self) {
    return std::tie(self.parent, self.name, self.expected, self.inode, self.type);
  }
};
// Adds to an inode's link count (0: its names change otherwise). At nlink 0 it becomes an orphan.
struct AdjustLinks {
  InodeId inode{};
  i64 delta = 0;
  std::optional<u32> nlink_expected;
  SessionId held_open_by{};
  Time at;
  std::optional<u32> owner;  // the inode must be this user's: its name is in a sticky directory of another's
  static auto fields(auto& self) {
    return std::tie(self.inode, self.delta, self.nlink_expected, self.held_open_by, self.at, self.owner);
  }
};
struct MakeInode {  // a directory, or what a rename leaves behind
  Newborn born;
  static auto fields(auto& self) { return std::tie(self.born); }
};
struct RemoveDirInode {  // must be empty
  InodeId inode{};
  std::optional<u32> owner;  // as above
  static auto fields(auto& self) { return std::tie(self.inode, self.owner); }
};
struct SetParent {
  InodeId inode{};
  InodeId parent{};
  Time at;
  std::optional<u32> owner;  // as above
  Caller caller;             // must have the right to write: ".." changes
  static auto fields(auto& self) {
    return std::tie(self.inode, self.parent, self.at, self.owner, self.caller);
  }
};
struct HoldRenameLock {  // on shard 0: one directory at a time changes its parent
  static auto fields(auto&) { return std::tie(); }
};
// With AdjustLinks (behind it) or RemoveDirInode (before it), of the same inode: what is removed goes to the
// trash, if that took the file's last name.
struct KeepInTrash {
  InodeId inode{};
  InodeId parent{};
  std::string name;
  static auto fields(auto& self) { return std::tie(self.inode, self.parent, self.name); }
};
struct TakeFromTrash {  // a file, which gets its first name again
  InodeId inode{};
  Time at;
  Caller caller;  // must own the file
  InodeId quota_directory{};
  static auto fields(auto& self) { return std::tie(self.inode, self.at, self.caller, self.quota_directory); }
};
// In shard 0, which coordinates what is done with volumes: these two are never prepared, and lock nothing.
struct MakeVolume {
  Volume volume;
  static auto fields(auto& self) { return std::tie(self.volume); }
};
struct DropVolume {  // every shard is told
  VolumeId volume{};
  static auto fields(auto& self) { return std::tie(self.volume); }
};
// Of split directories (docs/architecture/directories.md; detail/fragment_parts.cpp). `end` is the cookie
// behind a range, 0 where it is the last.
struct EntryRow {
  u64 cookie = 0;
  Dentry dentry;  // nameless: it keeps a slot
  static auto fields(auto& self) { return std::tie(self.cookie, self.dentry); }
};
// What is in a range, and the directory or fragment that has it: the answer to preparing CutEntries.
struct FragmentContent {
  Newborn like;
  std::vector<EntryRow> entries;
  static auto fields(auto& self) { return std::tie(self.like, self.entries); }
};
// The upper end of a range goes. All of a fragment's: the fragment goes, too.
struct CutEntries {
  InodeId from{};
  u64 first = 0;
  u64 end = 0;
  bool if_empty = false;  // not_empty: entries are in it
  static auto fields(auto& self) { return std::tie(self.from, self.first, self.end, self.if_empty); }
};
struct MakeFragment {
  Newborn born;  // but for its size and links
  u64 first = 0;
  u64 end = 0;
  std::vector<EntryRow> entries;
  static auto fields(auto& self) { return std::tie(self.born, self.first, self.end, self.entries); }
};
struct TakeEntries {  // of the range that follows
  InodeId into{};
  u64 first = 0;
  u64 end = 0;
  FragmentContent content;
  static auto fields(auto& self) { return std::tie(self.into, self.first, self.end, self.content); }
};
struct SetFragments {
  InodeId directory{};
  FragmentMap before;
  FragmentMap after;
  static auto fields(auto& self) { return std::tie(self.directory, self.before, self.after); }
};
// What a shard judges by: of a directory, and its copy in a fragment.
struct SetDirectory {
  Newborn to;  // its inode's id, mode, owner, flags, and `changed`
  std::optional<Time> accessed, modified;
  std::optional<Time> if_changed;  // of the directory itself: what it was when this was planned
  static auto fields(auto& self) { return std::tie(self.to, self.accessed, self.modified, self.if_changed); }
};
// The order is on the wire.
using Part = std::variant<ChangeDentry, AdjustLinks, MakeInode, RemoveDirInode, SetParent, HoldRenameLock,
                          KeepInTrash, TakeFromTrash, MakeVolume, DropVolume, CutEntries, MakeFragment,
                          TakeEntries, SetFragments, SetDirectory>;

struct LockNeed {
  std::string object;
  bool exclusive = true;
};
std::vector<LockNeed> locks_of(const Part& part);
ShardId shard_of(const Part& part);
// Of a fragment: prepared also where its shard coordinates, so that leases on it are recalled.
bool is_of_fragment(const Part& part);

// Whether the part can be performed now. Gives the inode as it will be, if the part changes one that an
// answer may need. Errc::busy when what the plan relied on has changed: plan again.
Result<std::optional<Inode>> validate(const ReadContext& context, const Part& part);
// Requires that validate() held and that nothing it relied on has changed since.
void perform(ApplyContext& context, const Part& part);

// Inodes by id as an operation leaves them.
using After = std::map<InodeId, Inode>;
// Refuses locked keys, validates and performs each in turn, as part of a command.
Result<After> run_parts(ApplyContext& context, const std::vector<Part>& parts);

bool all_local(const ReadContext& context, const std::vector<Part>& parts);

}  // namespace claudefs::meta
