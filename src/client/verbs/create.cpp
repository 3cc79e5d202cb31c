#include "client/detail/state.h"

namespace claudefs::client {

namespace {

Task<Result<Inode>> make(State& state, NewNode node) {
  if (node.name.size() > meta::kNameMax) co_return fail(Errc::name_too_long, "a name has at most 255 bytes");
  if (node.target.size() > meta::kSymlinkMax)
    co_return fail(Errc::name_too_long, "a target has at most 4095 bytes");
  meta::Create create;
  create.parent = node.parent;
  create.name = node.name;
  create.type = node.type;
  create.mode = node.mode;
  create.rdev = node.rdev;
  create.target = std::move(node.target);
  create.umask = node.umask;
  create.caller = state.known_as(std::move(node.caller));
  auto done = co_await state.change_name(std::move(create), &meta::Create::parent, node.name);
  Inode& made = done.reply->inode;
  state.remember_name(node.parent, node.name, made.id);
  if (state.leases) {
    state.leases->learn_attributes(done.started, made);
    state.leases->now_named(done.place, node.name, made.id);
  }
  co_return std::move(made);
}

// A file that nobody else can have anything of yet.
Opened opened_new(State& state, const Inode& inode, OpenFlags flags) {
  Opened opened;
  opened.handle = state.add_handle(inode, std::move(flags));
  opened.inode = inode;
  opened.keep_cache = true;
  state.seen_versions[inode.id] = inode.data_version;
  const FilePtr file = state.find_file(inode.id);
  file->only_ours = state.leases && state.leases->held(inode.id) == LeaseMode::write;
  state.note_no_capability(*file);
  return opened;
}

}  // namespace

Task<Result<Inode>> FileSystem::make_node(NewNode node) { return make(*state_, std::move(node)); }

Task<Result<Opened>> FileSystem::create_file(NewNode node, OpenFlags flags) {
  node.type = FileType::regular;
  const Inode inode = co_await make(*state_, std::move(node));
  const Opened opened = opened_new(*state_, inode, std::move(flags));
  co_await state_->tell_open(inode.id);
  co_return opened;
}

Task<Result<Opened>> FileSystem::create_unnamed(NewNode node, OpenFlags flags, bool linkable) {
  meta::CreateUnnamed create;
  create.parent = node.parent;
  create.mode = node.mode;
  create.umask = node.umask;
  create.linkable = linkable;
  create.caller = state_->known_as(std::move(node.caller));
  const u64 started = state_->clock();
  const meta::InodeReply reply = co_await state_->command(node.parent.shard(), std::move(create));
  if (state_->leases) state_->leases->learn_attributes(started, reply.inode);
  const Opened opened = opened_new(*state_, reply.inode, std::move(flags));
  state_->find_file(reply.inode.id)->unlinked = true;  // its holder is told so when it closes
  co_return opened;
}

}  // namespace claudefs::client
