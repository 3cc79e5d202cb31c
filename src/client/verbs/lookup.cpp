#include "client/detail/state.h"

namespace claudefs::client {

constexpr int kLookupAttempts = 16;  // against others that make and remove the same name

Task<Result<Inode>> FileSystem::lookup(InodeId parent, std::string name, Caller caller) {
  if (name.size() > meta::kNameMax) co_return fail(Errc::name_too_long, "a name has at most 255 bytes");
  State& state = *state_;
  for (int attempt = 1;; ++attempt) {
    if (state.leases) {
      co_await state.leases->settled(parent);
      if (const std::optional<InodeId> known = state.leases->name(parent, name)) {
        state.leases->count_answered_here();
        if (*known == InodeId{}) co_return fail(Errc::not_found);
        Result<Inode> inode = co_await get_attributes(*known).result();
        if (inode || inode.error().code != Errc::stale) co_return inode;
        state.leases->now_unknown(parent, name);
      }
    }
    meta::Lookup lookup;
    lookup.parent = parent;
    lookup.name = name;
    lookup.caller = state_->known_as(caller);
    const u64 started = state.clock();
    const Result<meta::InodeReply> found = co_await state.ask(parent.shard(), std::move(lookup)).result();
    if (!found) {
      if (found.error().code == Errc::not_found && state.leases)
        state.leases->learn_name(started, parent, name, InodeId{});
      co_return fail(found.error());
    }
    const meta::InodeReply& reply = *found;
    state.remember_name(parent, name, reply.inode.id);
    if (state.leases) state.leases->learn_name(started, parent, name, reply.inode.id);
    if (reply.inode.type != FileType::none && !state.asked_since(reply.inode.id, started))
      co_return state.learn(started, reply.inode);
    // The inode of a directory, or of a file with names in several shards, may live elsewhere. When it is
    // gone by the time we ask there, the name is gone too, or names another one.
    Result<Inode> inode = co_await get_attributes(reply.inode.id).result();
    if (inode || inode.error().code != Errc::stale || attempt == kLookupAttempts) co_return inode;
  }
}

}  // namespace claudefs::client
