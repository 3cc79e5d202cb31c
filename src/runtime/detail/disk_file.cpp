#include "runtime/detail/disk_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include <fmt/format.h>

#include "runtime/detail/iovecs.h"

namespace claudefs::runtime::detail {

namespace {
constexpr std::size_t kAlignment =
    4096;  // of a write past the page cache, on any device: place, length, memory

struct AlignedPart {
  std::vector<iovec> vectors;
  std::size_t bytes = 0;
};
// As much of the beginning as may go past the page cache.
AlignedPart aligned_part(const std::vector<Buffer>& pieces) {
  constexpr std::size_t kMostPieces = 1024;  // in one call (IOV_MAX)
  AlignedPart out;
  for (const Buffer& piece : pieces) {
    if (reinterpret_cast<std::uintptr_t>(piece.data()) % kAlignment != 0) break;
    const std::size_t whole = piece.size() / kAlignment * kAlignment;
    if (whole != 0) out.vectors.push_back({const_cast<std::byte*>(piece.data()), whole});
    out.bytes += whole;
    if (whole != piece.size() || out.vectors.size() == kMostPieces) break;
  }
  return out;
}
}  // namespace

Task<Result<std::size_t>> UringFile::read_at(u64 offset, MutableByteSpan into) {
  return do_read(state_, offset, into);
}
Task<Result<void>> UringFile::write_at(u64 offset, std::vector<Buffer> pieces) {
  return write_plainly(state_, offset, std::move(pieces));
}
Task<Result<void>> UringFile::write_durably_at(u64 offset, std::vector<Buffer> pieces) {
  return write_durably(state_, offset, std::move(pieces));
}
Task<Result<void>> UringFile::flush() { return do_flush(state_); }
Task<Result<void>> UringFile::allocate(u64 size) { return do_allocate(state_, size); }
Task<Result<void>> UringFile::truncate(u64 size) { return do_truncate(state_, size); }
Task<Result<u64>> UringFile::size() { return do_size(state_); }

Task<Result<std::size_t>> UringFile::do_read(Shared state, u64 offset, MutableByteSpan into) {
  constexpr std::size_t kMostPerCall = 1u << 30;
  std::size_t done = 0;
  while (done < into.size()) {
    const unsigned ask = static_cast<unsigned>(std::min(into.size() - done, kMostPerCall));
    const int got = co_await state->loop.submit([&](io_uring_sqe* sqe) {
      io_uring_prep_read(sqe, state->file.get(), into.data() + done, ask, offset + done);
    });
    if (got == -EINTR || got == -EAGAIN) continue;
    if (got < 0) co_return fail_errno(-got, "read " + state->path);
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  co_return done;
}

Task<Result<void>> UringFile::write_plainly(Shared state, u64 offset, std::vector<Buffer> pieces) {
  const std::size_t begun = co_await write_past_cache(state, offset, pieces);
  co_return co_await do_write(std::move(state), offset, std::move(pieces), 0, begun).result();
}

// Large writes from aligned memory: their copy into the page cache would cost more than all the rest that a
// server does with them. Gives how much of the beginning is written: 0 where that is not possible.
Task<Result<std::size_t>> UringFile::write_past_cache(Shared state, u64 offset, std::vector<Buffer> pieces) {
  constexpr std::size_t kLeast = 256 << 10;  // below it the cache is as cheap, and of use to who reads soon
  AlignedPart part = aligned_part(pieces);
  if (offset % kAlignment != 0 || part.bytes < kLeast) co_return std::size_t{0};
  if (!state->direct_tried) co_await open_direct(state);
  if (!state->direct) co_return std::size_t{0};
  const int put = co_await state->loop.submit([&](io_uring_sqe* sqe) {
    io_uring_prep_writev(sqe, state->direct.get(), part.vectors.data(),
                         static_cast<unsigned>(part.vectors.size()), offset);
  });
  // EINVAL: this file system wants more than we know. The page cache takes what is left.
  if (put == -EINVAL || put == -EINTR || put == -EAGAIN) co_return std::size_t{0};
  if (put < 0) co_return fail_errno(-put, "write " + state->path);
  co_return static_cast<std::size_t>(put);
}

Task<Result<void>> UringFile::do_write(Shared state, u64 offset, std::vector<Buffer> pieces, int flags,
                                       std::size_t begun) {
  PendingPieces pending(pieces);
  pending.advance(begun);
  offset += begun;
  while (!pending.empty()) {
    const int put = co_await state->loop.submit([&](io_uring_sqe* sqe) {
      io_uring_prep_writev2(sqe, state->file.get(), pending.data(), pending.count(), offset, flags);
    });
    // Of a durable write an error may be that of its flush, after which nothing may be tried again.
    if (flags == 0 && (put == -EINTR || put == -EAGAIN)) continue;
    if (put < 0) co_return fail_errno(-put, "write " + state->path);
    if (put == 0) co_return fail(Errc::io_error, "write " + state->path + ": the device takes no bytes");
    pending.advance(static_cast<std::size_t>(put));
    offset += static_cast<u64>(put);
  }
  co_return Result<void>();
}

// Through the page cache a durable write costs a kernel thread of its own, a copy and a write-back: for small
// ones more than the device takes (4 KiB into written blocks: 140 us, direct 100 us).
Task<Result<void>> UringFile::write_durably(Shared state, u64 offset, std::vector<Buffer> pieces) {
  constexpr std::size_t kDirectMost = 256 << 10;  // above it the copy outweighs the rest
  std::size_t size = 0;
  for (const Buffer& piece : pieces) size += piece.size();
  const bool aligned = offset % kAlignment == 0 && size % kAlignment == 0;
  if (!aligned || size == 0 || size > kDirectMost)
    co_return co_await do_write(std::move(state), offset, std::move(pieces), RWF_DSYNC).result();
  if (!state->direct_tried) co_await open_direct(state);
  if (!state->direct)
    co_return co_await do_write(std::move(state), offset, std::move(pieces), RWF_DSYNC).result();

  const std::unique_ptr<void, decltype(&std::free)> whole(std::aligned_alloc(kAlignment, size), &std::free);
  std::byte* to = static_cast<std::byte*>(whole.get());
  for (const Buffer& piece : pieces) to = std::copy(piece.span().begin(), piece.span().end(), to);
  const int put = co_await state->loop.submit([&](io_uring_sqe* sqe) {
    io_uring_prep_write(sqe, state->direct.get(), whole.get(), static_cast<unsigned>(size), offset);
    sqe->rw_flags = RWF_DSYNC;
  });
  if (put < 0) co_return fail_errno(-put, "write " + state->path);
  if (static_cast<std::size_t>(put) != size)
    co_return fail(Errc::io_error, "write " + state->path + ": the device takes only a part");
  co_return Result<void>();
}

// Not every file system offers it; then the page cache does.
Task<void> UringFile::open_direct(Shared state) {
  const std::string self = fmt::format("/proc/self/fd/{}", state->file.get());
  const int got = co_await state->loop.submit([&](io_uring_sqe* sqe) {
    io_uring_prep_openat(sqe, AT_FDCWD, self.c_str(), O_WRONLY | O_DIRECT | O_CLOEXEC, 0);
  });
  if (state->direct_tried) {
    if (got >= 0) ::close(got);
    co_return;
  }
  state->direct_tried = true;
  if (got >= 0) state->direct = Descriptor(got);
}

Task<Result<void>> UringFile::do_flush(Shared state) {
  const int status = co_await state->loop.submit(
      [&](io_uring_sqe* sqe) { io_uring_prep_fsync(sqe, state->file.get(), IORING_FSYNC_DATASYNC); });
  // Not even EINTR is tried again: whether the pages count as clean now is unknown.
  if (status < 0) co_return fail_errno(-status, "flush " + state->path);
  co_return Result<void>();
}

Task<Result<void>> UringFile::do_allocate(Shared state, u64 size) {
  const int status = co_await state->loop.submit([&](io_uring_sqe* sqe) {
    io_uring_prep_fallocate(sqe, state->file.get(), 0, 0, static_cast<off_t>(size));
  });
  if (status >= 0) co_return Result<void>();
  if (status != -EOPNOTSUPP) co_return fail_errno(-status, "reserve space in " + state->path);
  // A file system without reservation: at least the size is set, and every write pays for its metadata.
  const u64 present = co_await do_size(state);
  if (present < size) co_await do_truncate(state, size);
  co_return Result<void>();
}

Task<Result<void>> UringFile::do_truncate(Shared state, u64 size) {
  int error = 0;
  co_await state->offload.run([&] {
    if (::ftruncate(state->file.get(), static_cast<off_t>(size)) < 0) error = errno;
  });
  if (error != 0) co_return fail_errno(error, "truncate " + state->path);
  co_return Result<void>();
}

Task<Result<u64>> UringFile::do_size(Shared state) {
  struct stat about{};
  // Reads what the kernel has in memory for an open file: does not block.
  if (::fstat(state->file.get(), &about) < 0) co_return fail_errno(errno, "get the size of " + state->path);
  if (!S_ISBLK(about.st_mode)) co_return static_cast<u64>(about.st_size);
  const off_t end = ::lseek(state->file.get(), 0, SEEK_END);
  if (end < 0) co_return fail_errno(errno, "get the size of " + state->path);
  co_return static_cast<u64>(end);
}

}  // namespace claudefs::runtime::detail
