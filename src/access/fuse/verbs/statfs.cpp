#include "access/fuse/verbs/verbs.h"

namespace claudefs::access::fuse::verbs {

Task<Result<Reply>> statfs(Context& context, Request request) {
  constexpr u64 kBlock = 4096;
  const client::FileSystemUsage usage = co_await context.fs.usage(request.node());
  fuse_statfs_out out{};
  out.st.blocks = usage.total_bytes / kBlock;
  out.st.bfree = usage.free_bytes / kBlock;
  out.st.bavail = out.st.bfree;
  out.st.files = usage.inodes_used + usage.inodes_free;
  out.st.ffree = usage.inodes_free;
  out.st.bsize = kBlock;
  out.st.frsize = kBlock;
  out.st.namelen = meta::kNameMax;
  co_return Reply::of(out);
}

}  // namespace claudefs::access::fuse::verbs
