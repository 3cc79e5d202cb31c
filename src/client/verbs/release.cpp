#include "base/mutant.h"
#include "client/detail/state.h"

namespace claudefs::client {

CFS_DEFINE_MUTANT(client_close_without_flush, "client: closing a file does not write back");

Task<Result<void>> FileSystem::release(HandleId handle) {
  State& state = *state_;
  Handle* const found = co_await state.find_handle(handle);
  const FilePtr file = found->file;
  const auto owners = std::exchange(found->lock_owners, {});
  for (const auto& [owner, flock] : owners) co_await state.release_lock(file, owner, flock);
  // The last use of an unlinked file: nobody will ever read what is not written yet.
  const bool last = file->handles == 1 && file->is_lost_at_close(!state.leases);
  const bool pointless = last || CFS_MUTANT(client_close_without_flush);
  if (!pointless) (void)co_await state.flush(file, FlushMode::everything).result();
  if (file->handles == 1 && file->has_reserve) co_await state.release_reserve(file);
  Result<void> failure = state.take_failure(handle);
  state.handles.erase(handle);
  if (--file->handles == 0) file->told_open = false;
  if (file->handles == 0 && file->unlinked && state.scope.accepting())
    state.scope.spawn(state.hold_open_in(file->id().shard()));
  state.drop_if_idle(file);
  co_return failure;
}

}  // namespace claudefs::client
