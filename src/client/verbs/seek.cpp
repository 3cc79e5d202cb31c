#include "client/detail/state.h"

namespace claudefs::client {

namespace {

constexpr u64 kWindow = 64_MiB;

}  // namespace

Task<Result<u64>> FileSystem::seek(HandleId handle, u64 offset, SeekTarget target) {
  State& state = *state_;
  const FilePtr file = co_await state.file_of(handle);
  co_await state.flush(file, FlushMode::everything);
  co_await state.ensure_current(file);
  const u64 size = state.visible(*file).size;
  if (offset >= size) co_return fail(Errc::no_data, "behind the end of the file");
  u64 at = offset;
  while (at < size) {
    const u64 end = std::min(size, at + kWindow);
    co_await state.load_extents(file, at, end);
    for (const meta::Extent& extent : file->extents.in(at, end)) {
      if (target == SeekTarget::data) co_return std::max(at, extent.offset);
      if (extent.offset > at) co_return at;
      at = extent.offset + extent.length;
    }
    if (target == SeekTarget::hole && at < end) co_return at;
    at = std::max(at, end);
  }
  if (target == SeekTarget::hole) co_return size;
  co_return fail(Errc::no_data, "no data behind this offset");
}

}  // namespace claudefs::client
