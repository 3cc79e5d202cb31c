#include "client/detail/state.h"

namespace claudefs::client {

FileSystem::FileSystem(std::unique_ptr<State> state) : state_(std::move(state)) {}
FileSystem::~FileSystem() = default;

std::unique_ptr<FileSystem> FileSystem::create(Parts parts, Options options) {
  return std::unique_ptr<FileSystem>(
      new FileSystem(std::make_unique<State>(std::move(parts), std::move(options))));
}

Task<Result<void>> FileSystem::start() {
  State& state = *state_;
  state.scope.spawn(state.watch_outage());
  co_await state.open_session();
  state.scope.spawn(state.hold_open());
  state.scope.spawn(state.tell_access_times());
  co_return Result<void>();
}

Task<Result<void>> FileSystem::stop() {
  Result<void> synced = co_await sync_all().result();
  state_->stopping.set();
  state_->scope.stop_accepting();
  co_await state_->scope.join();
  co_return synced;
}

const Options& FileSystem::options() const { return state_->options; }
u64 FileSystem::dirty_bytes() const { return state_->dirty_total; }
std::size_t FileSystem::open_files() const { return state_->handles.size(); }

void FileSystem::forget(InodeId inode) {
  state_->seen_versions.erase(inode);
  state_->removed_directories.erase(inode);
}

}  // namespace claudefs::client
