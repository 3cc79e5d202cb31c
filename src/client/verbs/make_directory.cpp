#include "client/detail/state.h"
#include "meta/names.h"

namespace claudefs::client {

Task<Result<Inode>> FileSystem::make_directory(NewNode node) {
  if (node.name.size() > meta::kNameMax) co_return fail(Errc::name_too_long, "a name has at most 255 bytes");
  meta::MakeDirectory make;
  make.parent = node.parent;
  make.name = node.name;
  make.mode = node.mode;
  make.umask = node.umask;
  make.caller = state_->known_as(std::move(node.caller));
  // A removed directory of this name that is still in use here keeps its id.
  while (state_->removed_directories.contains(
      meta::directory_id(make.parent, make.name, make.first_attempt, state_->router.shard_count())))
    ++make.first_attempt;
  meta::InodeReply reply;
  {
    const Leases::OwnChange change(state_->own(), node.parent, Leases::Of::names);
    reply = co_await state_->command(node.parent.shard(), std::move(make));
  }
  if (state_->leases) state_->leases->now_named(node.parent, node.name, reply.inode.id);
  co_return std::move(reply.inode);
}

}  // namespace claudefs::client
