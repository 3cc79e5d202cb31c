#include "client/detail/state.h"

namespace claudefs::client {

Task<Result<Inode>> FileSystem::lookup(InodeId parent, std::string name) {
  if (name.size() > meta::kNameMax) co_return fail(Errc::name_too_long, "a name has at most 255 bytes");
  meta::Lookup lookup;
  lookup.parent = parent;
  lookup.name = name;
  const meta::InodeReply reply = co_await state_->ask(parent.shard(), std::move(lookup));
  state_->remember_name(parent, name, reply.inode.id);
  // The inode of a directory, or of a file with names in several shards, may live elsewhere.
  if (reply.inode.type == FileType::none) co_return co_await get_attributes(reply.inode.id);
  co_return state_->present(reply.inode);
}

}  // namespace claudefs::client
