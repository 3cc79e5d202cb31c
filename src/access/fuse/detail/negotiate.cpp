#include "access/fuse/detail/negotiate.h"

#include <fmt/format.h>

namespace claudefs::access::fuse::detail {
namespace {

constexpr u32 kMinorLeast = 28;
constexpr u64 kPage = 4096;

// Not asked for: splicing (replies are written from where the data lies). AUTO_INVAL_DATA makes the kernel
// compare its pages with the modification time whenever the attributes have run out: it costs the pages of a
// file that is written and read in turns, and is what bounds how old a page can be when this process stands
// still.
u64 wanted(const SessionOptions& options) {
  u64 flags = FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_MAX_PAGES | FUSE_DO_READDIRPLUS |
              FUSE_READDIRPLUS_AUTO | FUSE_PARALLEL_DIROPS | FUSE_ATOMIC_O_TRUNC | FUSE_HANDLE_KILLPRIV_V2 |
              FUSE_CACHE_SYMLINKS | FUSE_ASYNC_DIO | FUSE_POSIX_ACL | FUSE_DONT_MASK | FUSE_EXPORT_SUPPORT;
  if (options.shared) flags |= FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS | FUSE_AUTO_INVAL_DATA;
  if (options.kernel_writeback) flags |= FUSE_WRITEBACK_CACHE;
  return flags;
}

}  // namespace

Result<fuse_init_out> negotiate(const fuse_init_in& in, const SessionOptions& options) {
  fuse_init_out out{};
  out.major = FUSE_KERNEL_VERSION;
  out.minor = FUSE_KERNEL_MINOR_VERSION;
  // A newer major: the kernel reads ours from the answer and asks again.
  if (in.major > FUSE_KERNEL_VERSION) return out;
  if (in.major < FUSE_KERNEL_VERSION || in.minor < kMinorLeast)
    return fail(Errc::wrong_version, fmt::format("this kernel speaks FUSE {}.{}; 7.{} (Linux 4.20) is needed",
                                                 in.major, in.minor, kMinorLeast));
  const u64 offered = in.flags;
  out.flags = static_cast<u32>(offered & wanted(options));
  out.max_readahead = in.max_readahead;
  out.max_background = 128;
  out.congestion_threshold = 96;
  out.max_write = options.io_bytes_max;
  out.max_pages = static_cast<u16>((options.io_bytes_max + kPage - 1) / kPage);
  out.time_gran = 1;
  return out;
}

}  // namespace claudefs::access::fuse::detail
