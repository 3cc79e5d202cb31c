#include "base/mutant.h"
#include "client/detail/state.h"

namespace claudefs::client {

CFS_DEFINE_MUTANT(client_hole_swallows_writes,
                  "client: what is written while a hole is made goes with it, and so does the size it gave");

namespace {

// After what was written before, in one commit: free `punch`, then reach `size_at_least`. What is written
// meanwhile comes behind it.
Task<Result<void>> change_range(State& state, FilePtr file, std::optional<meta::CommitWrite::Range> punch,
                                std::optional<u64> size_at_least) {
  const Leases::Use use = co_await state.use_for_writing(file);
  auto lock = co_await file->flush_lock.lock();
  co_await state.flush_locked(file, FlushMode::everything);
  meta::CommitWrite commit;
  commit.inode = file->id();
  if (punch) commit.punch.push_back(*punch);
  commit.size_at_least = size_at_least;
  commit.modified = state.time_now();
  const u64 before = file->attributes.data_version;
  meta::InodeReply reply;
  {
    const Leases::OwnChange change(state.own(), file->id());
    reply = co_await state.command(file->id().shard(), std::move(commit));
  }
  if (punch && CFS_MUTANT(client_hole_swallows_writes)) file->dirty.erase(punch->offset, punch->length);
  state.note_own_change(reply.inode, before);
  co_return Result<void>();
}

}  // namespace

Task<Result<void>> FileSystem::allocate(HandleId handle, AllocateRequest request) {
  State& state = *state_;
  Handle* const found = co_await state.find_handle(handle);
  if (!found->flags.write)
    co_return fail(Errc::not_permitted, "fallocate: the handle is open for reading only");
  const FilePtr file = found->file;
  if (request.length == 0) co_return fail(Errc::invalid_argument, "fallocate: nothing to do");
  if (request.offset > meta::kFileSizeMax || request.length > meta::kFileSizeMax - request.offset)
    co_return fail(Errc::file_too_big, "fallocate: beyond the largest file");
  const u64 end = request.offset + request.length;
  std::optional<u64> size;
  if (!request.keep_size) size = end;
  if (request.mode == AllocateMode::allocate) {
    co_await state.ensure_current(file);
    // Space is not reserved: a write can meet a full cluster all the same. With the size kept nothing
    // changes.
    if (request.keep_size || state.visible(*file).size >= end) co_return Result<void>();
    Result<void> done = co_await change_range(state, file, std::nullopt, size).result();
    if (state.leases) co_await state.leases->questions_first(file->id());
    co_return done;
  }
  if (request.mode == AllocateMode::punch_hole && !request.keep_size)
    co_return fail(Errc::unsupported, "fallocate: punching a hole keeps the size");
  meta::CommitWrite::Range range;
  range.offset = request.offset;
  range.length = request.length;
  Result<void> done = co_await change_range(state, file, range, size).result();
  if (state.leases) co_await state.leases->questions_first(file->id());
  co_return done;
}

}  // namespace claudefs::client
