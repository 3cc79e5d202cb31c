// One mounted FUSE file system: the kernel's requests become client::FileSystem verbs.
//
// Own session layer on the kernel protocol (linux/fuse.h, 7.28 and newer) over a packet device. Node ids
// are inode ids; the generation is made of the time of birth, so handles outlive restarts. Requests are
// served concurrently, each as a coroutine. An interrupted request that still waits for the cluster is
// answered EINTR; the operation itself goes on, because it may already have been applied. Locks are the
// cluster's.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "client/file_system.h"
#include "runtime/env.h"

namespace claudefs::access::fuse {

struct SessionOptions {
  // How long the kernel may trust names and attributes without a lease; with leases as long as they say.
  runtime::Duration entry_valid{0};
  runtime::Duration attributes_valid{0};
  bool shared = true;  // with other clients: locks and caches are the cluster's
  // The kernel's own write-back cache. Off: docs/decisions/0004-kernel-writeback-off.md.
  bool kernel_writeback = false;
  u32 io_bytes_max = 1u << 20;  // of one read or write
  unsigned readers = 4;         // concurrent reads of the device
  // An interrupted request is answered EINTR once it is this old: healthy operations are not cut short.
  runtime::Duration interrupt_after{1'000'000'000};
  runtime::Duration drain_after_unmount{5'000'000'000};
  // The supplementary groups of a thread, which the kernel does not tell. Quick; empty: none are known.
  std::function<std::vector<u32>(u32 pid)> groups_of;
  runtime::Duration groups_valid{1'000'000'000};
};

struct SessionStats {  // totals
  u64 requests = 0;
  u64 failed = 0;  // answered with an error other than "no such entry"
  u64 malformed = 0;
  u64 interrupted = 0;
  u64 known_inodes = 0;  // that the kernel holds now
};

class FuseSession {
 public:
  // `env` and `file_system` (started) outlive it.
  static std::unique_ptr<FuseSession> create(runtime::Env& env, std::unique_ptr<runtime::PacketDevice> device,
                                             client::FileSystem& file_system, SessionOptions options = {});
  virtual ~FuseSession() = default;
  // Serves until the file system is unmounted (or close()), then waits a bounded time for what is under way.
  // Once only. Errors: of the device, when it fails in another way.
  virtual runtime::Task<Result<void>> run() = 0;
  virtual void close() = 0;
  virtual SessionStats stats() const = 0;
};

}  // namespace claudefs::access::fuse
