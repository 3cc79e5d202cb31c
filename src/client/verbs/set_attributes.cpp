#include "base/mutant.h"
#include "client/detail/state.h"

namespace claudefs::client {

CFS_DEFINE_MUTANT(client_truncate_keeps_dirty, "client: buffered bytes survive a truncation");

namespace {

meta::SetAttributes operation_of(InodeId inode, const AttributeChange& change) {
  meta::SetAttributes set;
  set.inode = inode;
  set.mode = change.mode;
  set.uid = change.uid;
  set.gid = change.gid;
  set.size = change.size;
  set.accessed = change.accessed;
  set.modified = change.modified;
  set.clear_set_id = change.clear_set_id;
  set.accessed_now = change.accessed_now;
  set.modified_now = change.modified_now;
  set.caller = change.caller;
  return set;
}

Task<Result<Inode>> apply(State& state, InodeId inode, AttributeChange change) {
  const FilePtr file = state.find_file(inode);
  const auto seen = state.seen_versions.find(inode);
  const u64 before = file != nullptr                     ? file->attributes.data_version
                     : seen != state.seen_versions.end() ? seen->second
                                                         : 0;
  meta::SetAttributes set = operation_of(inode, change);
  set.caller = state.known_as(std::move(set.caller));
  if (const auto handle = state.handles.find(change.handle); handle != state.handles.end())
    set.size_granted = handle->second.flags.write && handle->second.file->id() == inode;
  meta::InodeReply reply;
  {
    const Leases::OwnChange own(state.own(), inode);
    reply = co_await state.command(inode.shard(), std::move(set));
  }
  if (state.leases) state.leases->now_is(reply.inode);
  if (change.accessed) state.accessed.erase(inode);
  if (change.size) state.note_own_change(reply.inode, before);
  co_return state.present(reply.inode);
}

// Of an open file: in order with its write-backs.
Task<Result<Inode>> apply_to_open(State& state, FilePtr file, AttributeChange change) {
  const Leases::Use use = co_await state.use_for_writing(file);
  auto lock = co_await file->flush_lock.lock();
  // A write-back after this would put its own time over the one that is set.
  // And what was appended before belongs before the new end, wherever it is put.
  if (change.modified || (change.size && file->appended_from))
    co_await state.flush_locked(file, FlushMode::everything);
  co_await apply(state, file->id(), change);
  if (change.size) {
    if (!CFS_MUTANT(client_truncate_keeps_dirty)) file->dirty.truncate(*change.size);
    if (file->dirty.empty()) file->appended_from.reset();
    state.recount(*file);
  }
  co_return state.visible(*file);
}

}  // namespace

Task<Result<Inode>> FileSystem::set_attributes(InodeId inode, AttributeChange change) {
  if (change.size && *change.size > meta::kFileSizeMax)
    co_return fail(Errc::file_too_big, "beyond the largest file");
  const FilePtr file = state_->find_file(inode);
  if (file != nullptr && (change.size || change.modified))
    co_return co_await apply_to_open(*state_, file, std::move(change));
  co_return co_await apply(*state_, inode, std::move(change));
}

}  // namespace claudefs::client
