#include "client/detail/state.h"

namespace claudefs::client {

Task<Result<Inode>> FileSystem::link(InodeId inode, InodeId new_parent, std::string new_name, Caller caller) {
  if (new_name.size() > meta::kNameMax) co_return fail(Errc::name_too_long, "a name has at most 255 bytes");
  co_await state_->settle_attributes(inode);
  meta::Link link;
  link.inode = inode;
  link.new_parent = new_parent;
  link.new_name = new_name;
  link.caller = state_->known_as(std::move(caller));
  State::Placed<meta::InodeReply> done;
  {
    const Leases::OwnChange target(state_->own(), inode);
    done = co_await state_->change_name(std::move(link), &meta::Link::new_parent, new_name);
  }
  const meta::InodeReply& reply = *done.reply;
  if (state_->leases) {
    state_->leases->now_unknown(done.place, new_name);
    if (reply.inode.type != FileType::none) state_->leases->now_is(reply.inode);
  }
  state_->remember_name(new_parent, new_name, inode);
  if (const FilePtr file = state_->find_file(inode)) file->unlinked = false;
  if (reply.inode.type == FileType::none) co_return co_await get_attributes(inode);
  co_return state_->present(reply.inode);
}

}  // namespace claudefs::client
