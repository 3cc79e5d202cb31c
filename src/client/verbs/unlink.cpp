#include "client/detail/state.h"

namespace claudefs::client {

Task<Result<void>> FileSystem::unlink(InodeId parent, std::string name, Caller caller) {
  meta::Unlink unlink;
  unlink.held_open_by = co_await state_->holder_of(parent, name);
  unlink.parent = parent;
  unlink.name = name;
  unlink.to_trash = state_->options.keep_removed;
  unlink.caller = state_->known_as(std::move(caller));
  const auto done = co_await state_->change_name(std::move(unlink), &meta::Unlink::parent, name);
  const meta::UnlinkReply& reply = *done.reply;
  state_->forget_name(parent, name);
  if (state_->leases) {
    state_->leases->touched(reply.inode, reply.nlink == 0 ? Leases::Of::names : Leases::Of::inode);
    state_->leases->now_unknown(done.place, name);
  }
  state_->note_nlink(reply.inode, reply.nlink, reply.in_trash);
  co_return Result<void>();
}

}  // namespace claudefs::client
