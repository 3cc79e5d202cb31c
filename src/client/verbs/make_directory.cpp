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
  auto done = co_await state_->change_name(std::move(make), &meta::MakeDirectory::parent, node.name);
  if (state_->leases) state_->leases->now_named(done.place, node.name, done.reply->inode.id);
  co_return std::move(done.reply->inode);
}

}  // namespace claudefs::client
