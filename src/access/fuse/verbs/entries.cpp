#include "access/fuse/verbs/verbs.h"

namespace claudefs::access::fuse::verbs {
namespace {

void forget_one(Context& context, InodeId inode, u64 count) {
  if (context.lookups.forget(inode, count)) context.fs.forget(inode);
}

}  // namespace

Task<Result<Reply>> lookup(Context& context, Request request) {
  const client::Inode inode = co_await context.fs.lookup(request.node(), request.names[0]);
  co_return entry_reply(context, request.node(), request.names[0], inode);
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
    forget_one(context, InodeId{one.nodeid}, one.nlookup);
  }
  Reply reply;
  reply.silent = true;
  co_return reply;
}

}  // namespace claudefs::access::fuse::verbs
