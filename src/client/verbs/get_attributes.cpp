#include "client/detail/state.h"

namespace claudefs::client {

Task<Result<Inode>> FileSystem::get_attributes(InodeId inode) {
  meta::GetAttributes get;
  get.inode = inode;
  const Result<meta::InodeReply> reply = co_await state_->ask(inode.shard(), std::move(get)).result();
  if (reply) co_return state_->present(reply->inode);
  const auto removed = state_->removed_directories.find(inode);
  if (reply.error().code != Errc::stale || removed == state_->removed_directories.end())
    co_return fail(reply.error());
  co_return removed->second;
}

bool FileSystem::may_have_set_id(InodeId inode) const {
  const FilePtr file = state_->find_file(inode);
  return file == nullptr || (file->attributes.mode & 06000) != 0;
}

}  // namespace claudefs::client
