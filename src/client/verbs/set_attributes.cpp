#include <algorithm>

#include "base/mutant.h"
#include "client/detail/state.h"

namespace claudefs::client {

CFS_DEFINE_MUTANT(lost_attributes_committed,
                  "client: a change of attributes that went with its session counts as committed");
CFS_DEFINE_MUTANT(client_truncate_keeps_dirty, "client: buffered bytes survive a truncation");
CFS_DEFINE_MUTANT(client_keeps_attributes_without_lease,
                  "client: a change of attributes waits for a commit though others may look");

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
  if (state.leases && change.mode) state.leases->mode_changes(inode);
  meta::InodeReply reply;
  {
    const OwnChanges own(state, inode);
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
  // And those who pay for what was written are those who owned it then.
  if (change.modified || (change.size && file->appended_from) || change.uid || change.gid ||
      !file->attribute_changes.empty())
    co_await state.flush_locked(file, FlushMode::everything);
  co_await apply(state, file->id(), change);
  if (change.uid || change.gid) file->reserved = 0;
  if (change.size) {
    if (!CFS_MUTANT(client_truncate_keeps_dirty)) file->dirty.truncate(*change.size);
    if (file->dirty.empty()) file->appended_from.reset();
    state.recount(*file);
  }
  co_return state.visible(*file);
}

// Who has a file open for writing closes it, and then it is committed. Only under the write lease, whose
// recall commits it first. Not where the shard has more to judge than this client's kernel did, or where more
// follows than what the change says.
bool may_wait(const State& state, const OpenFile& file, const AttributeChange& change) {
  if (state.leases && state.leases->held(file.id()) != LeaseMode::write &&
      !CFS_MUTANT(client_keeps_attributes_without_lease))
    return false;
  // A gift may be beyond the quota of who gets it.
  if (state.leases && (change.uid || change.gid) &&
      state.leases->limited_at(file.id().shard()) != meta::Hlc{})
    return false;
  const bool written_here = std::ranges::any_of(state.handles, [&](const auto& handle) {
    return handle.second.file.get() == &file && handle.second.flags.write;
  });
  const Inode now = state.visible(file);
  const bool root = change.caller.uid == 0 && !state.options.squash_root;
  const bool allowed = root || (change.caller.uid == now.uid && !change.uid && !change.gid);
  constexpr u16 kSetId = 06000;
  const bool plain =
      (now.mode & kSetId) == 0 && (!change.mode || (*change.mode & kSetId) == 0) && now.flags == 0;
  return written_here && allowed && plain && !change.size && !file.unlinked;
}

Inode keep_for_later(State& state, const FilePtr& file, const AttributeChange& change) {
  meta::SetAttributes set = operation_of(file->id(), change);
  set.caller = state.known_as(std::move(set.caller));
  file->attribute_changes.push_back(std::move(set));
  file->attributes_changed_at = state.time_now();
  if (change.accessed) state.accessed.erase(file->id());
  state.write_back_soon(file);
  return state.visible(*file);
}

}  // namespace

Task<Result<Inode>> FileSystem::set_attributes(InodeId inode, AttributeChange change) {
  if (change.size && *change.size > meta::kFileSizeMax)
    co_return fail(Errc::file_too_big, "beyond the largest file");
  const FilePtr file = state_->find_file(inode);
  if (file != nullptr && may_wait(*state_, *file, change)) co_return keep_for_later(*state_, file, change);
  const bool in_order = change.size || change.modified || change.uid || change.gid;
  if (file != nullptr && (in_order || !file->attribute_changes.empty()))
    co_return co_await apply_to_open(*state_, file, std::move(change));
  Inode changed = co_await apply(*state_, inode, std::move(change));
  if (is_split(changed)) co_return co_await get_attributes(inode);
  co_return std::move(changed);
}

Task<Result<std::optional<Inode>>> FileSystem::commit_attributes(InodeId inode) {
  const FilePtr file = state_->find_file(inode);
  if (file == nullptr || file->attribute_changes.empty()) co_return std::optional<Inode>();
  const u64 failures = file->failures;
  co_await state_->settle_attributes(inode);
  // Nothing may have been left because it went with the session, behind another flush.
  if (file->failures != failures && !CFS_MUTANT(lost_attributes_committed)) co_return fail(file->failure);
  co_return std::optional<Inode>(state_->visible(*file));
}

}  // namespace claudefs::client
