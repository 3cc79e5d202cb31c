#include "base/mutant.h"
#include "client/detail/state.h"

namespace claudefs::client {

CFS_DEFINE_MUTANT(client_fsync_returns_early,
                  "client: fsync and flush return before the bytes are written back");

namespace {

Task<Result<void>> make_durable(State& state, HandleId handle) {
  if (CFS_MUTANT(client_fsync_returns_early)) co_return Result<void>();
  const FilePtr file = co_await state.file_of(handle);
  const Result<void> flushed = co_await state.flush(file, FlushMode::everything).result();
  // Also tells of an earlier write-back that failed in the background.
  Result<void> failure = state.take_failure(handle);
  if (!failure) co_return failure;
  co_return flushed;
}

}  // namespace

Task<Result<void>> FileSystem::flush(HandleId handle) { return make_durable(*state_, handle); }
Task<Result<void>> FileSystem::fsync(HandleId handle) { return make_durable(*state_, handle); }

Task<Result<void>> FileSystem::sync_all() {
  std::vector<FilePtr> dirty;
  for (const auto& [inode, file] : state_->files)
    if (file->is_dirty()) dirty.push_back(file);
  std::vector<Task<Result<void>>> flushes;
  for (const FilePtr& file : dirty) flushes.push_back(state_->flush(file, FlushMode::everything));
  std::vector<Result<void>> results = co_await runtime::join_all(state_->env.executor(), std::move(flushes));
  for (const FilePtr& file : dirty) state_->drop_if_idle(file);
  for (Result<void>& result : results)
    if (!result) co_return fail(std::move(result.error()));
  co_return Result<void>();
}

}  // namespace claudefs::client
