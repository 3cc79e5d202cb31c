#include "client/detail/state.h"
#include "meta/acl.h"

namespace claudefs::client {

namespace {
constexpr std::string_view kCapability = "security.capability";
}

Task<Result<Buffer>> FileSystem::get_xattr(InodeId inode, std::string name, Caller caller) {
  const FilePtr file = name == kCapability ? state_->find_file(inode) : nullptr;
  if (file != nullptr && state_->env.now() < file->no_capability_until) co_return fail(Errc::no_data);
  const bool capability = state_->leases && name == kCapability;
  if (capability && state_->leases->knows_no_capability(inode)) co_return fail(Errc::no_data);
  const u64 started = state_->clock();
  co_await state_->settle_attributes(inode);
  meta::GetXattr get;
  get.inode = inode;
  get.name = std::move(name);
  get.caller = state_->known_as(std::move(caller));
  Result<meta::XattrReply> reply = co_await state_->ask(inode.shard(), std::move(get)).result();
  if (!reply && reply.error().code == Errc::no_data) {
    if (capability)
      state_->leases->learn_no_capability(started, inode);
    else if (file != nullptr && !state_->leases)
      state_->note_no_capability(*file);
  }
  if (!reply) co_return fail(std::move(reply.error()));
  co_return std::move(reply->value);
}

Task<Result<std::vector<std::string>>> FileSystem::list_xattrs(InodeId inode, Caller caller) {
  meta::ListXattrs list;
  list.inode = inode;
  list.caller = state_->known_as(std::move(caller));
  meta::ListXattrsReply reply = co_await state_->ask(inode.shard(), std::move(list));
  co_return std::move(reply.names);
}

Task<Result<void>> FileSystem::set_xattr(InodeId inode, std::string name, Buffer value, meta::XattrMode mode,
                                         Caller caller) {
  const FilePtr file = state_->find_file(inode);
  if (file != nullptr) file->no_capability_until = {};
  if (name == meta::kAccessAcl && file != nullptr && file->attributes.flags == 0) {
    // A list that says no more than the mode does is a change of mode: cp -a sets one on every file.
    const Result<meta::Acl> acl = meta::Acl::parse(value.text());
    if (acl && acl->is_minimal()) {
      AttributeChange change;
      change.mode = acl->apply_to(state_->visible(*file).mode);
      change.caller = std::move(caller);
      co_await set_attributes(inode, std::move(change));
      co_return Result<void>();
    }
  }
  co_await state_->settle_attributes(inode);
  meta::SetXattr set;
  set.inode = inode;
  set.name = std::move(name);
  set.value = std::move(value);
  set.mode = mode;
  set.caller = state_->known_as(std::move(caller));
  {
    const OwnChanges change(*state_, inode);
    co_await state_->command(inode.shard(), std::move(set));
  }
  if (const FilePtr open = state_->find_file(inode)) open->no_capability_until = {};
  co_return Result<void>();
}

Task<Result<void>> FileSystem::remove_xattr(InodeId inode, std::string name, Caller caller) {
  co_await state_->settle_attributes(inode);
  meta::RemoveXattr remove;
  remove.inode = inode;
  remove.name = std::move(name);
  remove.caller = state_->known_as(std::move(caller));
  const OwnChanges change(*state_, inode);
  co_await state_->command(inode.shard(), std::move(remove));
  co_return Result<void>();
}

}  // namespace claudefs::client
