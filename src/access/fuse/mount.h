// Attaches a FUSE device to a directory, and detaches it. Blocking system calls: at start-up and in tools,
// not on a busy loop.
#pragma once

#include <string>

#include "base/ids.h"
#include "base/result.h"

namespace claudefs::access::fuse {

struct MountOptions {
  std::string mount_point;
  std::string source;  // "claudefs#HOST:PORT": what `mount` and `df` show
  bool read_only = false;
  bool allow_other = true;
  bool default_permissions = true;  // the kernel checks mode bits: do not turn off without another check
  bool allow_not_empty = false;
  u32 read_bytes_max = 1u << 20;
};

// The descriptor of the device, for runtime::Reactor::packet_device; the caller owns it. As root by mount(2),
// otherwise through fusermount3. Errors name the mount point and the mend: not_found (no such directory, no
// /dev/fuse, no fusermount3), not_directory, not_empty, exists (already mounted), stale (a dead mount is in
// the way), not_permitted.
Result<int> mount(const MountOptions& options);

// What mount() would refuse before it touches anything: the same errors, early.
Result<void> check_mount_point(const MountOptions& options);

// Detaches at once; what is open there stays usable until it is closed. Fine for a dead mount too.
// Errors: invalid_argument (nothing is mounted there), not_permitted.
Result<void> unmount(const std::string& mount_point);

}  // namespace claudefs::access::fuse
