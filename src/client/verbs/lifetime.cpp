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
  if (state.leases) state.scope.spawn(state.leases->keep_alive());
  co_return Result<void>();
}

Task<Result<void>> FileSystem::stop() {
  Result<void> synced = co_await sync_all().result();
  state_->stopping.set();
  state_->scope.stop_accepting();
  if (state_->leases) state_->leases->hurry();
  co_await state_->scope.join();
  // Last: a session that has left must not be missed by anything, and found to have expired.
  if (state_->leases) co_await state_->leases->leave(state_->session);
  co_return synced;
}

void FileSystem::set_patience(runtime::Duration patience) { state_->options.patience = patience; }
const Options& FileSystem::options() const { return state_->options; }
u64 FileSystem::dirty_bytes() const { return state_->dirty_total; }
std::size_t FileSystem::open_files() const { return state_->handles.size(); }

void FileSystem::forget(InodeId inode) {
  state_->seen_versions.erase(inode);
  state_->removed_directories.erase(inode);
  if (state_->leases) state_->leases->forget(inode);
}

void FileSystem::set_kernel(KernelCaches* kernel) {
  if (state_->leases) state_->leases->set_kernel(kernel);
}
runtime::Duration FileSystem::give_attributes(InodeId inode) {
  return state_->leases ? state_->leases->give_attributes(inode) : runtime::Duration(0);
}
std::optional<u32> FileSystem::flags_under_lease(InodeId inode) const {
  const Inode* known = state_->leases ? state_->leases->own_attributes(inode) : nullptr;
  return known == nullptr ? std::nullopt : std::optional<u32>(known->flags);
}
runtime::Duration FileSystem::give_name(InodeId parent, const std::string& name, InodeId inode) {
  return state_->leases ? state_->leases->give_name(parent, name, inode) : runtime::Duration(0);
}
LeaseStats FileSystem::lease_stats() const {
  if (!state_->leases) return {};
  const LeaseCounts& counts = state_->leases->counts();
  return {state_->leases->size(), counts.recalls, counts.answered_here, counts.sessions_lost};
}

}  // namespace claudefs::client
