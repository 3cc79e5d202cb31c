// What the file-system library takes and gives. Shared by every access protocol (FUSE, NFS, S3).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "meta/operations.h"
#include "meta/types.h"

namespace claudefs::client {

using meta::Caller;
using meta::FileType;
using meta::Inode;
using HandleId = Strong<struct HandleIdTag, u64>;  // 0: none

struct OpenFlags {
  bool read = true;
  bool write = false;
  bool truncate = false;
  bool clear_set_id = false;  // with truncate, by a caller who may not keep set-user-id bits
  bool execute = false;       // to run it: asks for the right to execute instead of the one to read
  Caller caller;
};
struct Opened {
  Inode inode;
  HandleId handle;
  // No other client has changed the content since this one last looked: cached pages may stay.
  bool keep_cache = false;
};

// Only what is set changes.
struct AttributeChange {
  std::optional<u16> mode;
  std::optional<u32> uid;
  std::optional<u32> gid;
  std::optional<u64> size;
  std::optional<meta::Time> accessed;
  std::optional<meta::Time> modified;
  bool clear_set_id = false;
  bool accessed_now = false;  // the times are the caller's "now": the right to write is enough
  bool modified_now = false;
  HandleId handle;  // one that is open for writing gives the right to change the size
  Caller caller;
};

struct NewNode {
  InodeId parent{};
  std::string name;
  FileType type = FileType::regular;
  u16 mode = 0;
  u16 umask = 0;  // taken off where the directory has no default access control list
  u64 rdev = 0;
  std::string target;  // of a symbolic link
  Caller caller;
};

struct RenameRequest {
  InodeId old_parent{};
  std::string old_name;
  InodeId new_parent{};
  std::string new_name;
  meta::RenameMode mode = meta::RenameMode::replace;
  bool whiteout = false;
  Caller caller;
};

struct DirectoryEntry {
  std::string name;
  InodeId inode{};
  FileType type = FileType::none;
  u64 cookie = 0;                   // continue after this entry
  std::optional<Inode> attributes;  // where they came for free
};
struct DirectoryPage {
  std::vector<DirectoryEntry> entries;  // empty: the end
  InodeId parent{};                     // for ".."
  // They are all that there was, at one moment, with cookies from the one on and below the other.
  u64 covers_from = 0;
  u64 covers_to = 0;
};

struct ReadResult {
  std::vector<Buffer>
      pieces;  // in order, without gaps; together shorter than asked only at the end of the file
  u64 size() const {
    u64 total = 0;
    for (const Buffer& piece : pieces) total += piece.size();
    return total;
  }
};

struct Lock {
  u64 owner = 0;
  bool flock = false;
  bool exclusive = false;
  u64 start = 0;
  u64 end = INT64_MAX;  // inclusive
  u32 pid = 0;
};
enum class LockOutcome : u8 { held, interrupted, would_deadlock };
// The caller's side of a wait for a lock, to end it early.
class LockWait {
 public:
  virtual ~LockWait() = default;
  virtual bool cancelled() const = 0;
};

struct LeaseStats {
  u64 held = 0;
  u64 recalls = 0;        // that came
  u64 answered_here = 0;  // lookups, attributes and opens for which no message was sent
  u64 sessions_lost = 0;
};

enum class AllocateMode : u8 { allocate, punch_hole, zero_range };
struct AllocateRequest {
  AllocateMode mode = AllocateMode::allocate;
  bool keep_size = false;
  u64 offset = 0;
  u64 length = 0;
};
enum class SeekTarget : u8 { data, hole };

struct CopyRequest {
  HandleId from;
  u64 from_offset = 0;
  HandleId to;
  u64 to_offset = 0;
  u64 length = 0;
};

// In bytes and inodes, as `df` shows them.
struct FileSystemUsage {
  u64 total_bytes = 0;
  u64 free_bytes = 0;
  u64 inodes_used = 0;
  u64 inodes_free = 0;
};

}  // namespace claudefs::client
