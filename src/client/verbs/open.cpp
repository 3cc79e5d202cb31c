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

}  // namespace

Task<Result<Opened>> FileSystem::open(InodeId inode, OpenFlags flags) {
  State& state = *state_;
  // Fresh from the server, always: whoever closed the file before now is seen.
  if (flags.truncate) co_await truncate(*this, inode, flags.clear_set_id);
  meta::GetAttributes get;
  get.inode = inode;
  const meta::InodeReply reply = co_await state.ask(inode.shard(), std::move(get));
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
