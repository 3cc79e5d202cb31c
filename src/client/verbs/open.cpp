#include "client/detail/state.h"

namespace claudefs::client {

namespace {

// Truncation at open: in order with the write-backs of those who have it open already.
Task<Result<Inode>> truncate(FileSystem& fs, InodeId inode, bool clear_set_id) {
  AttributeChange change;
  change.size = 0;
  change.clear_set_id = clear_set_id;
  return fs.set_attributes(inode, std::move(change));
}

// Fresh from the server, or as its lease says that they are. For writing with a write lease, if nobody else
// has the file.
Task<Result<meta::InodeReply>> attributes_to_open(State& state, InodeId inode, bool write) {
  if (!state.leases) co_return co_await state.ask(inode.shard(), meta::GetAttributes(inode)).result();
  co_await state.leases->settled(inode);
  const Inode* known = state.leases->attributes(inode);
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
    reply = co_await state.ask(inode.shard(), std::move(acquire)).result();
  } else {
    reply = co_await state.ask(inode.shard(), meta::GetAttributes(inode)).result();
  }
  if (reply) state.leases->learn_attributes(started, reply->inode);
  co_return reply;
}

}  // namespace

Task<Result<Opened>> FileSystem::open(InodeId inode, OpenFlags flags) {
  State& state = *state_;
  if (flags.truncate) co_await truncate(*this, inode, flags.clear_set_id);
  const meta::InodeReply reply = co_await attributes_to_open(state, inode, flags.write);
  if (reply.inode.type == FileType::directory) co_return fail(Errc::is_directory, "open: a directory");
  Opened opened;
  opened.handle = state.add_handle(reply.inode, flags);
  const FilePtr file = co_await state.file_of(opened.handle);
  const u64 version = file->attributes.data_version;
  auto [seen, is_new] = state.seen_versions.try_emplace(inode, version);
  opened.keep_cache = !is_new && seen->second == version;
  seen->second = version;
  opened.inode = state.visible(*file);
  co_return opened;
}

}  // namespace claudefs::client
