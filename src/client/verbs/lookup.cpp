#include "client/detail/state.h"

namespace claudefs::client {

constexpr int kLookupAttempts = 16;  // against others that make and remove the same name

Task<Result<Inode>> FileSystem::lookup(InodeId parent, std::string name, Caller caller) {
  if (name.size() > meta::kNameMax) co_return fail(Errc::name_too_long, "a name has at most 255 bytes");
  State& state = *state_;
  for (int attempt = 1;; ++attempt) {
    if (state.leases) {
      const InodeId place = state.fragments.place_of(parent, name);
      co_await state.leases->settled(place);
      if (const std::optional<InodeId> known = state.leases->name(place, name)) {
        state.leases->count_answered_here();
        if (*known == InodeId{}) co_return fail(Errc::not_found);
        Result<Inode> inode = co_await get_attributes(*known).result();
        if (inode || inode.error().code != Errc::stale) co_return inode;
        state.leases->now_unknown(place, name);
      }
    }
    meta::Lookup lookup;
    lookup.parent = parent;
    lookup.name = name;
    lookup.caller = state_->known_as(caller);
    const auto found = co_await state.ask_name(std::move(lookup), &meta::Lookup::parent, name);
    if (!found.reply) {
      if (found.reply.error().code == Errc::not_found && state.leases)
        state.leases->learn_name(found.started, found.place, name, InodeId{});
      co_return fail(found.reply.error());
    }
    const meta::InodeReply& reply = *found.reply;
    state.remember_name(parent, name, reply.inode.id);
    if (state.leases) state.leases->learn_name(found.started, found.place, name, reply.inode.id);
    if (reply.inode.type != FileType::none && !is_split(reply.inode) &&
        !state.asked_since(reply.inode.id, found.started))
      co_return state.learn(found.started, reply.inode);
    // The inode of a directory, or of a file with names in several shards, may live elsewhere. When it is
    // gone by the time we ask there, the name is gone too, or names another one.
    Result<Inode> inode = co_await get_attributes(reply.inode.id).result();
    if (inode || inode.error().code != Errc::stale || attempt == kLookupAttempts) co_return inode;
  }
}

}  // namespace claudefs::client
