// What the kernel speaks beyond the linux/fuse.h that we may be built with (7.39, Linux 6.6).
#pragma once

#include <linux/fuse.h>

#include "base/ids.h"

namespace claudefs::access::fuse::detail {

inline constexpr u32 kTmpfile = 51;   // FUSE_TMPFILE, 7.37
inline constexpr u32 kStatx = 52;     // FUSE_STATX, 7.39
inline constexpr u32 kRunFlag = 040;  // in the flags of OPEN: to execute it (the kernel's __FMODE_EXEC)

struct StatxIn {
  u32 getattr_flags, reserved;
  u64 fh;
  u32 sx_flags, sx_mask;
};
struct StatxTime {
  i64 seconds;
  u32 nanoseconds;
  u32 reserved;
};
struct Statx {
  u32 mask, blksize;
  u64 attributes;
  u32 nlink, uid, gid;
  u16 mode, spare0;
  u64 ino, size, blocks, attributes_mask;
  StatxTime atime, btime, ctime, mtime;
  u32 rdev_major, rdev_minor, dev_major, dev_minor;
  u64 spare2[14];
};
struct StatxOut {
  u64 attr_valid;
  u32 attr_valid_nsec, flags;
  u64 spare[2];
  Statx stat;
};
static_assert(sizeof(StatxIn) == 24 && sizeof(Statx) == 256 && sizeof(StatxOut) == 288);

}  // namespace claudefs::access::fuse::detail
