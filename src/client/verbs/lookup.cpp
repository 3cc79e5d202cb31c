#include "client/detail/state.h"

namespace claudefs::client {

constexpr int kLookupAttempts = 16;  // against others that make and remove the same name

Task<Result<Inode>> FileSystem::lookup(InodeId parent, std::string name, Caller caller) {
  if (name.size() > meta::kNameMax) co_return fail(Errc::name_too_long, "a name has at most 255 bytes");
  for (int attempt = 1;; ++attempt) {
    meta::Lookup lookup;
    lookup.parent = parent;
    lookup.name = name;
    lookup.caller = state_->known_as(caller);
    const meta::InodeReply reply = co_await state_->ask(parent.shard(), std::move(lookup));
    state_->remember_name(parent, name, reply.inode.id);
    if (reply.inode.type != FileType::none) co_return state_->present(reply.inode);
    // The inode of a directory, or of a file with names in several shards, may live elsewhere. When it is
    // gone by the time we ask there, the name is gone too, or names another one.
    Result<Inode> inode = co_await get_attributes(reply.inode.id).result();
    if (inode || inode.error().code != Errc::stale || attempt == kLookupAttempts) co_return inode;
  }
}

}  // namespace claudefs::client
