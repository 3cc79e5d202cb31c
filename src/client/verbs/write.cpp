#include "base/mutant.h"
#include "client/detail/state.h"

namespace claudefs::client {

CFS_DEFINE_MUTANT(write_voids_question,
                  "client: a write is answered while the kernel waits for the attributes of that file");

CFS_DEFINE_MUTANT(write_outlives_its_lease,
                  "client: a write that waited until its session was another is buffered without a lease");

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

struct Turn {
  Leases::Use use;
  bool to_be_had = true;  // the quota has room for it, and that is set aside
};
Task<Result<Turn>> take_turn(State* state, FilePtr file, u64 bytes) {
  Turn turn;
  turn.use = co_await state->use_for_writing(file);
  if (state->leases) state->leases->give_content(file->id());
  // What is written now is later than a time that was set.
  if (!file->attribute_changes.empty()) co_await state->flush(file, FlushMode::everything);
  co_await state->wait_for_room(file, bytes);
  while (turn.to_be_had && bytes != 0 && !state->is_reserved(*file, bytes))
    turn.to_be_had = co_await state->reserve(file, bytes);
  co_return std::move(turn);
}

}  // namespace

Task<Result<void>> FileSystem::write(HandleId handle, u64 offset, Buffer data, bool append) {
  State& state = *state_;
  Handle* const found = co_await state.find_usable_handle(handle);
  if (!found->flags.write) co_return fail(Errc::not_permitted, "write: the handle is open for reading only");
  const FilePtr file = found->file;
  Turn turn = co_await take_turn(&state, file, data.size());
  // By the end of all that waiting the session may be another, which holds nothing yet.
  while (turn.use.has_ended() && !CFS_MUTANT(write_outlives_its_lease))
    turn = co_await take_turn(&state, file, data.size());
  // Right behind what is appended and not committed yet, even where others have moved the end on meanwhile:
  // the shard moves all of it as one piece.
  if (append) offset = file->appended_from ? file->dirty.end() : state.visible(*file).size;
  if (offset > meta::kFileSizeMax || data.size() > meta::kFileSizeMax - offset)
    co_return fail(Errc::file_too_big, "write: beyond the largest file");
  if (data.empty()) co_return Result<void>();
  if (turn.to_be_had)
    buffer_up(state, file, offset, std::move(data), append);
  else
    co_await state.write_through(file, offset, std::move(data), append);
  turn.use.release();
  if (state.leases && !CFS_MUTANT(write_voids_question)) co_await state.leases->questions_first(file->id());
  co_return Result<void>();
}

}  // namespace claudefs::client
