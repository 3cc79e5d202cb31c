#include "client/detail/state.h"

namespace claudefs::client {

Task<Result<std::string>> FileSystem::read_link(InodeId inode) {
  Inode found = co_await get_attributes(inode);
  if (found.type != FileType::symlink) co_return fail(Errc::invalid_argument, "not a symbolic link");
  co_return std::move(found.target);
}

}  // namespace claudefs::client
