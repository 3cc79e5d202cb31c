#include "access/fuse/verbs/verbs.h"

namespace claudefs::access::fuse::verbs {
namespace {

void forget_one(Context& context, InodeId inode, u64 count) {
  if (!context.lookups.forget(inode, count)) return;
  context.places.forget(inode);
  context.fs.forget(inode);
}

}  // namespace

Task<Result<Reply>> lookup(Context& context, Request request) {
  const std::string& name = request.names[0];
  // Whoever opens a handle (FUSE_EXPORT_SUPPORT) asks for the node itself and for the way up.
  if (name == ".") {
    const client::Inode node = co_await context.fs.get_attributes(request.node());
    if (node.nlink == 0) co_return fail(Errc::stale, "the handle's file has no name any more");
    co_return entry_reply(context, request.node(), name, node);
  }
  if (name == "..") {
    const client::Inode node = co_await context.fs.get_attributes(request.node());
    const InodeId parent = node.parent.value != 0 ? node.parent : node.id;
    co_return entry_reply(context, request.node(), name, co_await context.fs.get_attributes(parent));
  }
  const Result<client::Inode> inode =
      co_await context.fs.lookup(request.node(), name, caller_of(context, request)).result();
  if (!inode || inode->type != client::FileType::directory) context.places.vacate({request.node(), name});
  if (inode) co_return entry_reply(context, request.node(), name, *inode);
  if (inode.error().code == Errc::not_found)
    if (std::optional<Reply> absent = absent_reply(context, request.node(), name))
      co_return std::move(*absent);
  co_return fail(inode.error());
}

Task<Result<Reply>> forget(Context& context, Request request) {
  forget_one(context, request.node(), request.as<fuse_forget_in>().nlookup);
  Reply reply;
  reply.silent = true;
  co_return reply;
}

Task<Result<Reply>> batch_forget(Context& context, Request request) {
  const u64 present = request.data.size() / sizeof(fuse_forget_one);
  const u64 count = std::min<u64>(request.as<fuse_batch_forget_in>().count, present);
  for (u64 i = 0; i < count; ++i) {
    fuse_forget_one one{};
    std::memcpy(&one, request.data.data() + i * sizeof(one), sizeof(one));
    forget_one(context, context.inode_of(one.nodeid), one.nlookup);
  }
  Reply reply;
  reply.silent = true;
  co_return reply;
}

}  // namespace claudefs::access::fuse::verbs
