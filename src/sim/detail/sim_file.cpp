#include "sim/detail/sim_file.h"

#include <algorithm>

namespace claudefs::sim {

using namespace runtime;

Task<Result<std::size_t>> SimFile::read_at(u64 offset, MutableByteSpan into) {
  return do_read(state_, offset, into);
}
Task<Result<void>> SimFile::write_at(u64 offset, std::vector<Buffer> pieces) {
  return do_write(state_, offset, std::move(pieces));
}
Task<Result<void>> SimFile::flush() { return do_flush(state_); }
Task<Result<void>> SimFile::allocate(u64 size) { return do_resize(state_, size, false); }
Task<Result<void>> SimFile::truncate(u64 size) { return do_resize(state_, size, true); }
Task<Result<u64>> SimFile::size() { return do_size(state_); }

Result<void> SimFile::State::check_growth(u64 new_end) const {
  if (!writable) return fail(Errc::not_permitted, path + " is open for reading only");
  const u64 present = inode->content().size();
  if (new_end > present && disk.used() + (new_end - present) > faults().disk_bytes)
    return fail(Errc::no_space, path + ": the disk is full; delete files or add space");
  return {};
}

Task<Result<std::size_t>> SimFile::do_read(Shared state, u64 offset, MutableByteSpan into) {
  co_await state->disk.delay();
  RandomStream& stream = state->disk.stream_;
  if (stream.chance(state->faults().read_error)) {
    state->node.world().count_fault("read error");
    co_return fail(Errc::io_error, "read " + state->path + ": simulated fault");
  }
  const u64 size = state->inode->content().size();
  if (offset < size && !into.empty() && stream.chance(state->faults().bit_flip)) {
    state->node.world().count_fault("bit flip");
    const u64 last = std::min<u64>(size, offset + into.size()) - 1;
    state->inode->flip(stream.between(offset, last), static_cast<unsigned>(stream.between(0, 7)));
  }
  if (stream.chance(state->faults().misdirected_read)) {
    state->node.world().count_fault("misdirected read");
    offset += 4096 * stream.between(1, 16);
  }
  if (stream.chance(state->faults().stale_read)) {
    state->node.world().count_fault("stale read");
    co_return state->inode->durable().read(offset, into);
  }
  co_return state->inode->content().read(offset, into);
}

// The bytes are with the disk from the start: a crash before the end may keep any of them.
Task<Result<void>> SimFile::do_write(Shared state, u64 offset, std::vector<Buffer> pieces) {
  u64 total = 0;
  for (const Buffer& piece : pieces) total += piece.size();
  co_await state->check_growth(offset + total);
  RandomStream& stream = state->disk.stream_;
  const bool fails = stream.chance(state->faults().write_error);
  if (fails) state->node.world().count_fault("write error");
  const u64 order = state->disk.next_order();
  for (const Buffer& piece : pieces) {
    if (!piece.empty() && !(fails && stream.coin()))
      state->inode->write(order, offset, Buffer::copy_of(piece.span()));
    offset += piece.size();
  }
  state->disk.changed();
  co_await state->disk.delay();
  if (fails) co_return fail(Errc::io_error, "write " + state->path + ": simulated fault");
  co_return Result<void>();
}

Task<Result<void>> SimFile::do_flush(Shared state) {
  SimDisk& disk = state->disk;
  const u64 up_to = state->inode->latest();
  co_await disk.delay();
  if (disk.failing_flushes_ != 0 || disk.stream_.chance(state->faults().flush_error)) {
    if (disk.failing_flushes_ != 0) --disk.failing_flushes_;
    state->node.world().count_fault("flush error");
    state->inode->fail_flush(up_to, disk.stream_);
    disk.changed();
    co_return fail(Errc::io_error, "flush " + state->path + ": simulated fault");
  }
  if (!disk.lies_) state->inode->flush(up_to);
  disk.changed();
  co_return Result<void>();
}

Task<Result<void>> SimFile::do_resize(Shared state, u64 size, bool may_shrink) {
  co_await state->check_growth(size);
  const u64 present = state->inode->content().size();
  if (size > present || (may_shrink && size < present)) {
    state->inode->resize(state->disk.next_order(), size);
    state->disk.changed();
  }
  co_await state->disk.delay();
  co_return Result<void>();
}

Task<Result<u64>> SimFile::do_size(Shared state) { co_return state->inode->content().size(); }

}  // namespace claudefs::sim
