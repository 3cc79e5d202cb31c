#include "client/detail/state.h"

namespace claudefs::client {

Task<Result<Inode>> FileSystem::restore_file(InodeId inode, InodeId new_parent, std::string new_name,
                                             Caller caller) {
  meta::RestoreFile restore;
  restore.inode = inode;
  restore.new_parent = new_parent;
  restore.new_name = new_name;
  restore.caller = state_->known_as(std::move(caller));
  State::Placed<meta::InodeReply> done;
  {
    const Leases::OwnChange target(state_->own(), inode);
    done = co_await state_->change_name(std::move(restore), &meta::RestoreFile::new_parent, new_name);
  }
  const meta::InodeReply& reply = *done.reply;
  if (state_->leases) {
    state_->leases->now_unknown(done.place, new_name);
    state_->leases->now_is(reply.inode);
  }
  state_->remember_name(new_parent, new_name, inode);
  state_->note_nlink(inode, reply.inode.nlink);
  co_return state_->present(reply.inode);
}

Task<Result<meta::ListTrashReply>> FileSystem::list_trash(ShardId shard, meta::TrashPlace after,
                                                          Caller caller) {
  meta::ListTrash list;
  list.after = after;
  list.caller = state_->known_as(std::move(caller));
  list.volume = state_->volume.id;
  co_return co_await state_->ask(shard, std::move(list)).result();
}

Task<Result<meta::EmptyTrashReply>> FileSystem::empty_trash(ShardId shard, meta::TrashPlace after,
                                                            meta::Hlc before, Caller caller) {
  meta::EmptyTrash empty;
  empty.after = after;
  empty.before = before;
  empty.caller = state_->known_as(std::move(caller));
  empty.volume = state_->volume.id;
  co_return co_await state_->command(shard, std::move(empty)).result();
}

u16 FileSystem::shard_count() const { return state_->router.shard_count(); }

}  // namespace claudefs::client
