#include "client/detail/state.h"

namespace claudefs::client {

Task<Result<void>> FileSystem::remove_directory(InodeId parent, std::string name, Caller caller) {
  meta::RemoveDirectory remove;
  remove.parent = parent;
  remove.name = name;
  remove.to_trash = state_->options.keep_removed;
  remove.caller = state_->known_as(std::move(caller));
  const auto done = co_await state_->change_name(std::move(remove), &meta::RemoveDirectory::parent, name);
  const meta::UnlinkReply& reply = *done.reply;
  state_->forget_name(parent, name);
  state_->note_removed_directory(reply.last);
  if (state_->leases) {
    state_->leases->touched(reply.inode);
    state_->leases->now_unknown(done.place, name);
  }
  co_return Result<void>();
}

}  // namespace claudefs::client
