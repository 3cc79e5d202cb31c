// The records of the file system as shards store and clients see them. Stored forms:
// docs/formats/metadata.md.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "base/buffer.h"
#include "base/ids.h"
#include "codec/chunk_hash.h"
#include "wire/codec.h"

namespace claudefs::meta {

// Hybrid logical clock: milliseconds of wall time (48 bits) . counter (16 bits). Stamps every mutation.
using Hlc = Strong<struct HlcTag, u64>;

// Stored: never renumber.
enum class FileType : u8 {
  none = 0,
  regular = 1,
  directory = 2,
  symlink = 3,
  fifo = 4,
  socket = 5,
  character_device = 6,
  block_device = 7,
};

struct Time {
  i64 seconds = 0;
  u32 nanoseconds = 0;
  auto operator<=>(const Time&) const = default;
  static auto fields(auto& self) { return std::tie(self.seconds, self.nanoseconds); }
};

// Stored: never renumber.
enum InodeFlag : u32 {
  kHasAccessAcl = 1,   // xattr system.posix_acl_access
  kHasDefaultAcl = 2,  // xattr system.posix_acl_default
  kHasCapability = 4,  // xattr security.capability
  kIsSplit = 8,        // a directory: some of its entries are in fragments (docs/architecture/directories.md)
  kIsFragment = 16,    // not a directory but a range of the entries of `parent`; no mount sees it
};

struct Inode {
  InodeId id{};
  FileType type = FileType::none;
  u16 mode = 0;  // permission, set-id and sticky bits: 07777
  u32 uid = 0;
  u32 gid = 0;
  u32 nlink = 0;
  u64 rdev = 0;
  u64 size = 0;             // bytes; of a directory: its entries
  u64 allocated_bytes = 0;  // of data that is not a hole
  Time accessed, modified, changed, born;
  u64 data_version = 0;  // grows with every change of content: caches of content hold while it is equal
  u64 extent_generation =
      0;             // extents are keyed by it: truncation to nothing leaves the old ones to the purge
  InodeId parent{};  // directories only; 0: the root of a volume
  VolumeId volume{};
  std::string target;         // symlinks only
  u32 flags = 0;              // InodeFlag: what else there is to look at; saves looking
  InodeId quota_directory{};  // the nearest directory with a quota that it is in, or is; 0: none
  bool operator==(const Inode&) const = default;
  static auto fields(auto& self) {
    return std::tie(self.id, self.type, self.mode, self.uid, self.gid, self.nlink, self.rdev, self.size,
                    self.allocated_bytes, self.accessed, self.modified, self.changed, self.born,
                    self.data_version, self.extent_generation, self.parent, self.volume, self.target,
                    self.flags, self.quota_directory);
  }
};

inline bool is_split(const Inode& inode) { return (inode.flags & kIsSplit) != 0; }
inline bool is_fragment(const Inode& inode) { return (inode.flags & kIsFragment) != 0; }
// The directory that users know: of a fragment the one that it belongs to.
inline InodeId directory_of(const Inode& inode) { return is_fragment(inode) ? inode.parent : inode.id; }

// Entries of a directory with cookies from `first` to that of the next one.
struct Fragment {
  u64 first = 0;
  InodeId inode{};
  bool operator==(const Fragment&) const = default;
  static auto fields(auto& self) { return std::tie(self.first, self.inode); }
};
// Ascending; what is below the first of them is in the directory's own shard. Empty: it is not split.
using FragmentMap = std::vector<Fragment>;

struct Dentry {
  std::string name;
  InodeId inode{};
  FileType type = FileType::none;
  static auto fields(auto& self) { return std::tie(self.name, self.inode, self.type); }
};

// Where a chunk's stored form lies. A hint in extents; canonical in the chunk index.
struct Location {
  SegmentId segment{};
  u32 offset = 0;
  u32 length = 0;  // of the stored form
  bool operator==(const Location&) const = default;
  static auto fields(auto& self) { return std::tie(self.segment, self.offset, self.length); }
};

struct ChunkRef {
  codec::ChunkHash hash{};
  Location hint;
  u32 chunk_length = 0;     // of the whole plain chunk
  u32 offset_in_chunk = 0;  // where this extent's bytes begin in it
  bool operator==(const ChunkRef&) const = default;
  static auto fields(auto& self) {
    return std::tie(self.hash, self.hint, self.chunk_length, self.offset_in_chunk);
  }
};
struct InlineData {
  Buffer bytes;
  bool operator==(const InlineData&) const = default;
  static auto fields(auto& self) { return std::tie(self.bytes); }
};
// Part of a file's content. Extents of a file never overlap; what none covers is a hole and reads as zeros.
struct Extent {
  u64 offset = 0;
  u64 length = 0;
  std::variant<InlineData, ChunkRef> content;
  bool operator==(const Extent&) const = default;
  static auto fields(auto& self) { return std::tie(self.offset, self.length, self.content); }
};

inline constexpr u64 kInlineMax = 8 << 10;  // bytes of one inline extent
inline constexpr u64 kNameMax = 255;        // bytes
inline constexpr u64 kSymlinkMax = 4095;    // bytes
inline constexpr u32 kLinkMax = 65000;
inline constexpr u64 kFileSizeMax = (u64{1} << 62) - 1;
inline constexpr VolumeId kDefaultVolume{1};  // there from the start
inline constexpr InodeId kRootInode{1};       // of the default volume: shard 0, counter 1

}  // namespace claudefs::meta
