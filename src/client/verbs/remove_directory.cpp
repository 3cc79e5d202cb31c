#include "client/detail/state.h"

namespace claudefs::client {

Task<Result<void>> FileSystem::remove_directory(InodeId parent, std::string name, Caller caller) {
  meta::RemoveDirectory remove;
  remove.parent = parent;
  remove.name = name;
  remove.to_trash = state_->options.keep_removed;
  remove.caller = state_->known_as(std::move(caller));
  meta::UnlinkReply reply;
  {
    const Leases::OwnChange change(state_->own(), parent, Leases::Of::names);
    if (state_->leases) state_->leases->now_unknown(parent, name);
    reply = co_await state_->command(parent.shard(), std::move(remove));
  }
  state_->forget_name(parent, name);
  state_->note_removed_directory(reply.last);
  if (state_->leases) {
    state_->leases->touched(reply.inode);
    state_->leases->now_unknown(parent, name);
  }
  co_return Result<void>();
}

}  // namespace claudefs::client
