#include "client/detail/state.h"

namespace claudefs::client {

namespace {

// Truncation at open: in order with the write-backs of those who have it open already.
Task<Result<Inode>> truncate(FileSystem& fs, InodeId inode, OpenFlags flags) {
  AttributeChange change;
  change.size = 0;
  change.clear_set_id = flags.clear_set_id;
  change.caller = flags.caller;
  return fs.set_attributes(inode, std::move(change));
}

meta::Access access_of(const OpenFlags& flags) {
  meta::Access access = 0;
  if (flags.execute)
    access |= meta::kMayExecute;
  else if (flags.read)
    access |= meta::kMayRead;
  if (flags.write || flags.truncate) access |= meta::kMayWrite;
  return access;
}

// Fresh from the server, or as its lease says that they are. For writing with a write lease, if nobody else
// has the file.
Task<Result<meta::InodeReply>> attributes_to_open(State& state, InodeId inode, OpenFlags flags) {
  const bool write = flags.write;
  meta::GetAttributes get;
  get.inode = inode;
  get.access = access_of(flags);
  get.caller = state.known_as(flags.caller);
  if (!state.leases) co_return co_await state.ask(inode.shard(), std::move(get)).result();
  co_await state.leases->settled(inode);
  // A squashed client's kernel lets root do what the shard would not.
  const Inode* known = state.options.squash_root ? nullptr : state.leases->attributes(inode);
  if (known != nullptr && (!write || state.leases->held(inode) == LeaseMode::write)) {
    state.leases->count_answered_here();
    co_return meta::InodeReply(*known);
  }
  const u64 started = state.clock();
  Result<meta::InodeReply> reply;
  if (write) {
    meta::AcquireLease acquire;
    acquire.inode = inode;
    acquire.write = acquire.only_if_free = true;
    acquire.access = get.access;
    acquire.caller = get.caller;
    reply = co_await state.ask(inode.shard(), std::move(acquire)).result();
  } else {
    reply = co_await state.ask(inode.shard(), std::move(get)).result();
  }
  if (reply) state.leases->learn_attributes(started, reply->inode);
  co_return reply;
}

}  // namespace

Task<Result<Opened>> FileSystem::open(InodeId inode, OpenFlags flags) {
  State& state = *state_;
  co_await state.settle_attributes(inode);
  if (flags.truncate) co_await truncate(*this, inode, flags);
  const meta::InodeReply reply = co_await attributes_to_open(state, inode, flags);
  if (reply.inode.type == FileType::directory) co_return fail(Errc::is_directory, "open: a directory");
  Opened opened;
  opened.handle = state.add_handle(reply.inode, flags);
  const FilePtr file = co_await state.file_of(opened.handle);
  const u64 version = file->attributes.data_version;
  auto [seen, is_new] = state.seen_versions.try_emplace(inode, version);
  // Reads of cached pages are not seen here: where one would change the access time the pages go, once.
  const bool hides_a_read = flags.read && state.access_time_is_due(file->attributes);
  opened.keep_cache = !is_new && seen->second == version && !hides_a_read;
  seen->second = version;
  co_await state.tell_open(inode);
  opened.inode = state.visible(*file);
  co_return opened;
}

}  // namespace claudefs::client
