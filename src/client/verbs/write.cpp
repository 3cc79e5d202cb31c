#include "base/mutant.h"
#include "client/detail/state.h"

namespace claudefs::client {

CFS_DEFINE_MUTANT(write_voids_question,
                  "client: a write is answered while the kernel waits for the attributes of that file");

namespace {

void buffer_up(State& state, const FilePtr& file, u64 offset, Buffer data, bool append) {
  if (append && !file->appended_from) file->appended_from = offset;
  file->dirty.write(offset, std::move(data));
  file->written_at = state.time_now();
  state.recount(*file);
  if (file->dirty.bytes() >= state.options.flush_run_bytes)
    state.write_back_now(file);
  else
    state.write_back_soon(file);
}

}  // namespace

Task<Result<void>> FileSystem::write(HandleId handle, u64 offset, Buffer data, bool append) {
  State& state = *state_;
  Handle* const found = co_await state.find_usable_handle(handle);
  if (!found->flags.write) co_return fail(Errc::not_permitted, "write: the handle is open for reading only");
  const FilePtr file = found->file;
  Leases::Use use = co_await state.use_for_writing(file);
  if (state.leases) state.leases->give_content(file->id());
  // What is written now is later than a time that was set.
  if (!file->attribute_changes.empty()) co_await state.flush(file, FlushMode::everything);
  co_await state.wait_for_room(file, data.size());
  bool to_be_had = true;
  while (to_be_had && !data.empty() && !state.is_reserved(*file, data.size()))
    to_be_had = co_await state.reserve(file, data.size());
  // Right behind what is appended and not committed yet, even where others have moved the end on meanwhile:
  // the shard moves all of it as one piece.
  if (append) offset = file->appended_from ? file->dirty.end() : state.visible(*file).size;
  if (offset > meta::kFileSizeMax || data.size() > meta::kFileSizeMax - offset)
    co_return fail(Errc::file_too_big, "write: beyond the largest file");
  if (data.empty()) co_return Result<void>();
  if (to_be_had)
    buffer_up(state, file, offset, std::move(data), append);
  else
    co_await state.write_through(file, offset, std::move(data), append);
  use.release();
  if (state.leases && !CFS_MUTANT(write_voids_question)) co_await state.leases->questions_first(file->id());
  co_return Result<void>();
}

}  // namespace claudefs::client
