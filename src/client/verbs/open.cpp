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

}  // namespace

Task<Result<Opened>> FileSystem::open(InodeId inode, OpenFlags flags) {
  State& state = *state_;
  co_await state.settle_attributes(inode);
  // Fresh from the server, always: whoever closed the file before now is seen.
  if (flags.truncate) co_await truncate(*this, inode, flags);
  meta::GetAttributes get;
  get.inode = inode;
  get.access = access_of(flags);
  get.caller = state.known_as(flags.caller);
  const meta::InodeReply reply = co_await state.ask(inode.shard(), std::move(get));
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
  opened.inode = state.visible(*file);
  co_return opened;
}

}  // namespace claudefs::client
