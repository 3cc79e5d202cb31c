#include "client/detail/state.h"

namespace claudefs::client {

namespace {

// Nothing given: at the end of the file.
Task<Result<void>> put(State& state, HandleId handle, std::optional<u64> at, Buffer data) {
  Handle* const found = co_await state.find_handle(handle);
  if (found->locks_lost)
    co_return fail(Errc::io_error, "the locks taken through this handle went with the session; close it");
  if (!found->flags.write) co_return fail(Errc::not_permitted, "write: the handle is open for reading only");
  const FilePtr file = found->file;
  const Leases::Use use = co_await state.use_for_writing(file);
  co_await state.wait_for_room(file, data.size());
  const u64 offset = at ? *at : state.visible(*file).size;
  if (offset > meta::kFileSizeMax || data.size() > meta::kFileSizeMax - offset)
    co_return fail(Errc::file_too_big, "write: beyond the largest file");
  if (data.empty()) co_return Result<void>();
  file->dirty.write(offset, std::move(data));
  file->written_at = state.time_now();
  state.recount(*file);
  if (file->dirty.bytes() >= state.options.flush_run_bytes)
    state.write_back_now(file);
  else
    state.write_back_soon(file);
  co_return Result<void>();
}

}  // namespace

Task<Result<void>> FileSystem::write(HandleId handle, u64 offset, Buffer data) {
  return put(*state_, handle, offset, std::move(data));
}
Task<Result<void>> FileSystem::append(HandleId handle, Buffer data) {
  return put(*state_, handle, std::nullopt, std::move(data));
}

}  // namespace claudefs::client
