#include "access/fuse/verbs/verbs.h"

namespace claudefs::access::fuse::verbs {
namespace {

// As renameat2(2) has them.
constexpr u32 kNoReplace = 1;
constexpr u32 kExchange = 2;
constexpr u32 kWhiteout = 4;

Task<Result<Reply>> do_rename(Context& context, Request request, InodeId new_parent, meta::RenameMode mode,
                              bool whiteout = false) {
  client::RenameRequest rename;
  rename.old_parent = request.node();
  rename.old_name = std::move(request.names[0]);
  rename.new_parent = new_parent;
  rename.new_name = std::move(request.names[1]);
  rename.mode = mode;
  rename.whiteout = whiteout;
  rename.caller = caller_of(context, request);
  const detail::Place from{rename.old_parent, rename.old_name};
  const detail::Place to{rename.new_parent, rename.new_name};
  co_await context.fs.rename(std::move(rename));
  context.places.moved(from, to, mode == meta::RenameMode::exchange);
  co_return Reply{};
}

}  // namespace

Task<Result<Reply>> unlink(Context& context, Request request) {
  const client::Caller caller = caller_of(context, request);
  co_await context.fs.unlink(request.node(), std::move(request.names[0]), caller);
  co_return Reply{};
}

Task<Result<Reply>> rmdir(Context& context, Request request) {
  const client::Caller caller = caller_of(context, request);
  co_await context.fs.remove_directory(request.node(), std::move(request.names[0]), caller);
  co_return Reply{};
}

Task<Result<Reply>> rename(Context& context, Request request) {
  const InodeId new_parent = context.inode_of(request.as<fuse_rename_in>().newdir);
  return do_rename(context, std::move(request), new_parent, meta::RenameMode::replace);
}

Task<Result<Reply>> rename2(Context& context, Request request) {
  const auto in = request.as<fuse_rename2_in>();
  meta::RenameMode mode = meta::RenameMode::replace;
  const u32 how = in.flags & ~kWhiteout;
  const bool whiteout = (in.flags & kWhiteout) != 0;
  if (how == kNoReplace)
    mode = meta::RenameMode::no_replace;
  else if (how == kExchange && !whiteout)
    mode = meta::RenameMode::exchange;
  else if (how != 0)
    co_return fail(Errc::invalid_argument, "rename: unknown flags");
  co_return co_await do_rename(context, std::move(request), context.inode_of(in.newdir), mode, whiteout);
}

}  // namespace claudefs::access::fuse::verbs
