// What can be asked of a shard's namespace: one struct a verb, each with its kind and reply. Sent with
// cluster::Router::call(shard, op, request id) to the shard that the comment names. Kinds are on the wire:
// never renumber. The shard checks what `caller` may do (detail/permission.h): access_denied, not_permitted.
// Fields are only ever appended: an older peer skips them, a newer one finds them at their defaults.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "meta/types.h"

namespace claudefs::meta {

struct Caller {  // uid 0 may do everything
  u32 uid = 0;
  u32 gid = 0;
  std::vector<u32> groups;  // supplementary, as many as there are
  bool operator==(const Caller&) const = default;
  static auto fields(auto& self) { return std::tie(self.uid, self.gid, self.groups); }
};
// What a caller wants to do with an inode: bits as in a mode.
using Access = u8;
inline constexpr Access kMayRead = 4;
inline constexpr Access kMayWrite = 2;
inline constexpr Access kMayExecute = 1;  // of a directory: search
struct InodeReply {
  Inode inode;
  static auto fields(auto& self) { return std::tie(self.inode); }
};
struct Nothing {
  static auto fields(auto&) { return std::tie(); }
};

// --- queries: to the shard of the directory or inode ---

struct Lookup {  // not_found, not_directory, stale. The inode itself may live in another shard: then
                 // `inode.type` is none and only `inode.id` counts; ask GetAttributes there.
  static constexpr u16 kKind = 0x0101;
  using Reply = InodeReply;
  InodeId parent{};
  std::string name;
  Caller caller;
  static auto fields(auto& self) { return std::tie(self.parent, self.name, self.caller); }
};
struct GetAttributes {  // stale. With `access` this is what opens: access_denied when not all of it is
                        // allowed
  static constexpr u16 kKind = 0x0102;
  using Reply = InodeReply;
  InodeId inode{};
  Access access = 0;
  Caller caller;
  static auto fields(auto& self) { return std::tie(self.inode, self.access, self.caller); }
};
struct ReadDirectoryReply {
  struct Entry {
    Dentry dentry;
    u64 cookie = 0;              // continue after this entry; stable, below 2^63
    std::optional<Inode> inode;  // when asked for and held by the same shard
    static auto fields(auto& self) { return std::tie(self.dentry, self.cookie, self.inode); }
  };
  std::vector<Entry> entries;
  bool end = false;
  InodeId parent{};   // of the directory, for ".."; of a fragment 0
  u64 range_end = 0;  // with `end`: where entries go on, in another fragment; 0: there are no more
  static auto fields(auto& self) { return std::tie(self.entries, self.end, self.parent, self.range_end); }
};
struct ReadDirectory {  // not_directory, stale; moved when what follows `after_cookie` is not there
  static constexpr u16 kKind = 0x0103;
  using Reply = ReadDirectoryReply;
  InodeId directory{};
  u64 after_cookie = 0;  // 0: from the start
  u32 entries_max = 256;
  bool with_inodes = false;
  std::optional<Caller> opener;  // with the first read of a handle: may it read the directory at all?
  static auto fields(auto& self) {
    return std::tie(self.directory, self.after_cookie, self.entries_max, self.with_inodes, self.opener);
  }
};
struct ReadFragments {  // a directory as its shard has it, and where the rest of it is. not_directory, stale
  static constexpr u16 kKind = 0x0109;
  struct Reply {
    Inode inode;
    FragmentMap fragments;
    static auto fields(auto& self) { return std::tie(self.inode, self.fragments); }
  };
  InodeId directory{};
  static auto fields(auto& self) { return std::tie(self.directory); }
};
struct GetExtentsReply {
  Inode inode;                  // as of the same moment
  std::vector<Extent> extents;  // ascending; those that touch [offset, offset + length)
  bool truncated = false;       // more exist in the range: ask again from the end of the last
  static auto fields(auto& self) { return std::tie(self.inode, self.extents, self.truncated); }
};
struct GetExtents {  // stale
  static constexpr u16 kKind = 0x0104;
  using Reply = GetExtentsReply;
  InodeId inode{};
  u64 offset = 0;
  u64 length = 0;
  u32 extents_max = 1024;
  static auto fields(auto& self) { return std::tie(self.inode, self.offset, self.length, self.extents_max); }
};
struct XattrReply {
  Buffer value;
  static auto fields(auto& self) { return std::tie(self.value); }
};
struct GetXattr {  // no_data, stale
  static constexpr u16 kKind = 0x0105;
  using Reply = XattrReply;
  InodeId inode{};
  std::string name;
  Caller caller;
  static auto fields(auto& self) { return std::tie(self.inode, self.name, self.caller); }
};
struct ListXattrsReply {
  std::vector<std::string> names;
  static auto fields(auto& self) { return std::tie(self.names); }
};
struct ListXattrs {
  static constexpr u16 kKind = 0x0106;
  using Reply = ListXattrsReply;
  InodeId inode{};
  Caller caller;  // trusted.* is for root's eyes
  static auto fields(auto& self) { return std::tie(self.inode, self.caller); }
};
struct ShardUsageReply {  // sums over this shard
  u64 inodes = 0;
  u64 logical_bytes = 0;   // sizes of regular files
  u64 inline_bytes = 0;    // held in metadata
  u64 trashed_inodes = 0;  // files in the trash (meta/trash.h), which count among `inodes` too
  u64 trashed_bytes = 0;   // of their data, as it was when they were removed
  static auto fields(auto& self) {
    return std::tie(self.inodes, self.logical_bytes, self.inline_bytes, self.trashed_inodes,
                    self.trashed_bytes);
  }
};
struct ShardUsage {
  static constexpr u16 kKind = 0x0107;
  using Reply = ShardUsageReply;
  static auto fields(auto&) { return std::tie(); }
};

// Inodes whose content is (partly) inline and untouched since `idle_before`: what the consolidation moves to
// chunks.
struct ListInlineReply {
  std::vector<InodeId> inodes;
  static auto fields(auto& self) { return std::tie(self.inodes); }
};
struct ListInline {
  static constexpr u16 kKind = 0x0108;
  using Reply = ListInlineReply;
  Hlc idle_before{};
  u32 inodes_max = 64;
  static auto fields(auto& self) { return std::tie(self.idle_before, self.inodes_max); }
};

// --- commands ---

struct Create {  // anything but a directory; to the parent's shard. exists, not_found (parent gone: stale),
                 // name_too_long
  static constexpr u16 kKind = 0x0120;
  using Reply = InodeReply;
  InodeId parent{};
  std::string name;
  FileType type = FileType::regular;
  u16 mode = 0;
  u64 rdev = 0;
  std::string target;
  Caller caller;
  u16 umask = 0;  // taken off the mode where the directory has no default ACL
  static auto fields(auto& self) {
    return std::tie(self.parent, self.name, self.type, self.mode, self.rdev, self.target, self.caller,
                    self.umask);
  }
};
// A regular file without a name (O_TMPFILE), to the shard of the directory whose rules it takes. An orphan
// from the start: Link gives it a name if `linkable`.
struct CreateUnnamed {
  static constexpr u16 kKind = 0x0150;
  using Reply = InodeReply;
  InodeId parent{};
  u16 mode = 0;
  u16 umask = 0;
  bool linkable = true;
  Caller caller;
  static auto fields(auto& self) {
    return std::tie(self.parent, self.mode, self.umask, self.linkable, self.caller);
  }
};
struct MakeDirectory {  // to the parent's shard; spans shards
  static constexpr u16 kKind = 0x0121;
  using Reply = InodeReply;
  InodeId parent{};
  std::string name;
  u16 mode = 0;
  Caller caller;
  u16 umask = 0;
  // Ids are made of names: a client that still uses a removed directory of this name asks for a later one.
  u32 first_attempt = 0;
  static auto fields(auto& self) {
    return std::tie(self.parent, self.name, self.mode, self.caller, self.umask, self.first_attempt);
  }
};
struct UnlinkReply {
  InodeId inode{};
  u32 nlink = 0;
  Inode last;  // of a directory: as it was, with no link left
  bool in_trash = false;
  static auto fields(auto& self) { return std::tie(self.inode, self.nlink, self.last, self.in_trash); }
};
struct Unlink {  // to the parent's shard; spans shards when the inode lives elsewhere. is_directory,
                 // not_found
  static constexpr u16 kKind = 0x0122;
  using Reply = UnlinkReply;
  InodeId parent{};
  std::string name;
  Caller caller;
  SessionId held_open_by{};  // the caller has it open: keep the content until HoldOpen no longer names it
  // With its last name a file goes to the trash: the wish of the client, and the leader takes it back where
  // the cluster has no trash.
  bool to_trash = false;
  static auto fields(auto& self) {
    return std::tie(self.parent, self.name, self.caller.uid, self.caller.gid, self.held_open_by,
                    self.caller.groups, self.to_trash);
  }
};
struct RemoveDirectory {  // to the parent's shard; spans shards. not_empty, not_directory, not_found
  static constexpr u16 kKind = 0x0123;
  using Reply = UnlinkReply;
  InodeId parent{};
  std::string name;
  Caller caller;
  bool to_trash = false;  // as in Unlink
  static auto fields(auto& self) { return std::tie(self.parent, self.name, self.caller, self.to_trash); }
};
enum class RenameMode : u8 { replace = 0, no_replace = 1, exchange = 2 };
struct RenameReply {
  InodeId moved{};
  InodeId replaced{};  // 0: none
  u32 replaced_nlink = 0;
  static auto fields(auto& self) { return std::tie(self.moved, self.replaced, self.replaced_nlink); }
};
struct Rename {  // to the old parent's shard; may span shards. not_empty, would_loop, exists, is_directory,
                 // not_directory
  static constexpr u16 kKind = 0x0124;
  using Reply = RenameReply;
  InodeId old_parent{};
  std::string old_name;
  InodeId new_parent{};
  std::string new_name;
  RenameMode mode = RenameMode::replace;
  Caller caller;
  SessionId replaced_held_open_by{};
  bool whiteout = false;  // leave a character device 0:0 under the old name
  static auto fields(auto& self) {
    return std::tie(self.old_parent, self.old_name, self.new_parent, self.new_name, self.mode,
                    self.caller.uid, self.caller.gid, self.replaced_held_open_by, self.caller.groups,
                    self.whiteout);
  }
};
struct Link {  // to the new parent's shard; may span shards. too_many_links, exists, not_permitted
               // (directory)
  static constexpr u16 kKind = 0x0125;
  using Reply = InodeReply;
  InodeId inode{};
  InodeId new_parent{};
  std::string new_name;
  Caller caller;
  static auto fields(auto& self) { return std::tie(self.inode, self.new_parent, self.new_name, self.caller); }
};
struct SetAttributes {  // to the inode's shard; only what is set changes. `changed` is always renewed.
  static constexpr u16 kKind = 0x0126;
  using Reply = InodeReply;
  InodeId inode{};
  std::optional<u16> mode;
  std::optional<u32> uid;
  std::optional<u32> gid;
  std::optional<u64> size;  // truncates or extends; renews `modified` unless that is set too
  std::optional<Time> accessed;
  std::optional<Time> modified;
  // Drop set-user-id, and set-group-id where group-executable, or the caller is not of the group.
  bool clear_set_id = false;
  Caller caller;
  // Times that are the caller's "now": for that, the right to write is enough.
  bool accessed_now = false;
  bool modified_now = false;
  bool size_granted = false;  // by a handle that was opened for writing
  static auto fields(auto& self) {
    return std::tie(self.inode, self.mode, self.uid, self.gid, self.size, self.accessed, self.modified,
                    self.clear_set_id, self.caller, self.accessed_now, self.modified_now, self.size_granted);
  }
};
enum class XattrMode : u8 { set = 0, create = 1, replace = 2 };
struct SetXattr {
  static constexpr u16 kKind = 0x0127;
  using Reply = Nothing;
  InodeId inode{};
  std::string name;
  Buffer value;
  XattrMode mode = XattrMode::set;
  Caller caller;
  static auto fields(auto& self) {
    return std::tie(self.inode, self.name, self.value, self.mode, self.caller);
  }
};
struct RemoveXattr {
  static constexpr u16 kKind = 0x0128;
  using Reply = Nothing;
  InodeId inode{};
  std::string name;
  Caller caller;
  static auto fields(auto& self) { return std::tie(self.inode, self.name, self.caller); }
};
// Reads that the servers do not see change access times: clients tell, now and then, many at once.
struct NoteAccessed {  // to the inodes' shard; unknown inodes are skipped, no time goes back
  static constexpr u16 kKind = 0x0151;
  using Reply = Nothing;
  struct Read {
    InodeId inode{};
    Time at;
    static auto fields(auto& self) { return std::tie(self.inode, self.at); }
  };
  std::vector<Read> reads;
  static auto fields(auto& self) { return std::tie(self.reads); }
};
// Makes durable data visible: first frees `punch` (if any), then each extent replaces what its range held.
// References: every chunk extent that begins to exist counts +1 on its chunk, every one that ceases -1,
// by outbox messages to the chunks' shards.
struct CommitWrite {  // to the inode's shard. stale; conflict when if_data_version does not match
  static constexpr u16 kKind = 0x0129;
  using Reply = InodeReply;
  struct Range {
    u64 offset = 0;
    u64 length = 0;
    static auto fields(auto& self) { return std::tie(self.offset, self.length); }
  };
  InodeId inode{};
  std::vector<Extent> extents;
  std::vector<Range> punch;            // becomes a hole
  std::optional<u64> size_at_least;    // the file grows to it, never shrinks
  std::optional<Time> modified;        // nothing: keep (background rewriting)
  std::optional<u64> if_data_version;  // background rewriting: only if nobody wrote in between
  bool keep_data_version = false;      // background rewriting: same bytes, other place
  Hlc valid_until{};  // conflict when applied later: the pins of its chunks may be gone. 0: no bound
  // Extents from here on were appended (O_APPEND): they move, together, to where the file really ends.
  std::optional<u64> appended_from;
  // Follow the write, in order, under the rules of SetAttributes; none changes the size. All or nothing.
  std::vector<SetAttributes> then;
  static auto fields(auto& self) {
    return std::tie(self.inode, self.extents, self.punch, self.size_at_least, self.modified,
                    self.if_data_version, self.keep_data_version, self.valid_until, self.appended_from,
                    self.then);
  }
};
// Registers which inodes of this shard a session has open (leader memory, not replicated): sent at once where
// no lease tells of it, and again at least every 10 s. An orphan that nobody has named for 30 s is purged.
// The client's side: State::tell_open.
struct HoldOpen {
  static constexpr u16 kKind = 0x012a;
  using Reply = Nothing;
  SessionId session{};
  std::vector<InodeId> inodes;
  static auto fields(auto& self) { return std::tie(self.session, self.inodes); }
};
// What CommitWrite, truncation and purging emit to the chunks' shards (shard_of_chunk). Registered by data/.
struct ChunkDeltas {
  static constexpr u16 kKind = 0x0201;
  using Reply = Nothing;
  struct Delta {
    codec::ChunkHash hash;
    i64 references = 0;
    Location location;     // where the writer put it: becomes canonical when the index has none
    u32 chunk_length = 0;  // plain
    static auto fields(auto& self) {
      return std::tie(self.hash, self.references, self.location, self.chunk_length);
    }
  };
  std::vector<Delta> deltas;
  static auto fields(auto& self) { return std::tie(self.deltas); }
};
// A command, so that it also pushes the shard's clock to the leader's: after it answers, no later command of
// this shard is stamped at or below `clock`, and every emitted message stamped at or below `delivered` has
// been applied by its receiver.
struct OutboxStatusReply {
  Hlc clock{};
  Hlc delivered{};
  static auto fields(auto& self) { return std::tie(self.clock, self.delivered); }
};
struct OutboxStatus {
  static constexpr u16 kKind = 0x012c;
  using Reply = OutboxStatusReply;
  static auto fields(auto&) { return std::tie(); }
};
// To shard 0. A new client session, and what it needs to read and write data.
struct OpenSessionReply {
  SessionId session{};
  codec::DomainKey domain_key;
  static auto fields(auto& self) { return std::tie(self.session, self.domain_key); }
};
struct OpenSession {
  static constexpr u16 kKind = 0x012b;
  using Reply = OpenSessionReply;
  std::string client_name;   // host and process, for people
  bool squash_root = false;  // meta/squash.h
  VolumeId volume{};         // meta/session_volume.h; stale when it is not there
  static auto fields(auto& self) { return std::tie(self.client_name, self.squash_root, self.volume); }
};

inline ShardId shard_of_chunk(const codec::ChunkHash& hash, u16 shard_count) {
  u64 head = 0;
  for (int i = 0; i < 8; ++i) head = head << 8 | static_cast<u64>(hash.bytes[i]);
  return ShardId{static_cast<u16>(head % shard_count)};
}

}  // namespace claudefs::meta
