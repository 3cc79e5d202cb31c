#include <fcntl.h>

#include "access/fuse/detail/newer.h"
#include "access/fuse/verbs/verbs.h"

namespace claudefs::access::fuse::verbs {
namespace {

client::OpenFlags flags_of(u32 flags, u32 open_flags) {
  client::OpenFlags out;
  const u32 mode = flags & O_ACCMODE;
  out.read = mode != O_WRONLY;
  out.write = mode != O_RDONLY;
  out.truncate = (flags & O_TRUNC) != 0;
  out.clear_set_id = (open_flags & FUSE_OPEN_KILL_SUIDGID) != 0;
  out.execute = (flags & detail::kRunFlag) != 0;
  return out;
}

fuse_open_out open_out_of(const client::Opened& opened) {
  fuse_open_out out{};
  out.fh = opened.handle.value;
  // Without FOPEN_KEEP_CACHE the kernel drops its pages of the file: another client has written to it.
  out.open_flags = opened.keep_cache ? FOPEN_KEEP_CACHE : 0;
  return out;
}

}  // namespace

Task<Result<Reply>> open(Context& context, Request request) {
  const auto in = request.as<fuse_open_in>();
  client::OpenFlags flags = flags_of(in.flags, in.open_flags);
  flags.caller = caller_of(context, request);
  const client::Opened opened = co_await context.fs.open(request.node(), std::move(flags));
  Reply reply = Reply::of(open_out_of(opened));
  reply.opened_file = opened.handle;
  co_return reply;
}

Task<Result<Reply>> create(Context& context, Request request) {
  const auto in = request.as<fuse_create_in>();
  client::OpenFlags flags = flags_of(in.flags, in.open_flags);
  flags.caller = caller_of(context, request);
  client::NewNode node;
  node.parent = request.node();
  node.name = request.names[0];
  node.mode = static_cast<u16>(in.mode & 07777);
  node.umask = static_cast<u16>(in.umask & 0777);
  node.caller = flags.caller;
  Result<client::Opened> made = co_await context.fs.create_file(node, flags).result();
  if (!made && made.error().code == Errc::exists && (in.flags & O_EXCL) == 0) {
    // Another client was quicker between the kernel's lookup and this: then it is a plain open.
    const client::Inode present = co_await context.fs.lookup(node.parent, node.name, node.caller);
    if (present.type == client::FileType::directory) co_return fail(Errc::is_directory, node.name);
    made = co_await context.fs.open(present.id, flags).result();
  }
  if (!made) co_return fail(std::move(made.error()));
  Reply reply = entry_reply(context, node.parent, node.name, made->inode);
  reply.add(open_out_of(*made));
  reply.opened_file = made->handle;
  co_return reply;
}

Task<Result<Reply>> tmpfile(Context& context, Request request) {
  const auto in = request.as<fuse_create_in>();
  client::OpenFlags flags = flags_of(in.flags, in.open_flags);
  flags.truncate = false;
  client::NewNode node;
  node.parent = request.node();
  node.mode = static_cast<u16>(in.mode & 07777);
  node.umask = static_cast<u16>(in.umask & 0777);
  node.caller = caller_of(context, request);
  const bool linkable = (in.flags & O_EXCL) == 0;
  const client::Opened made = co_await context.fs.create_unnamed(std::move(node), std::move(flags), linkable);
  Reply reply = entry_reply(context, request.node(), {}, made.inode);
  reply.add(open_out_of(made));
  reply.opened_file = made.handle;
  co_return reply;
}

Task<Result<Reply>> release(Context& context, Request request) {
  co_await context.fs.release(client::HandleId{request.as<fuse_release_in>().fh});
  co_return Reply{};
}

Task<Result<Reply>> flush(Context& context, Request request) {
  const auto in = request.as<fuse_flush_in>();
  // Also when the write-back fails: the descriptor is closed.
  const Result<void> flushed = co_await context.fs.flush(client::HandleId{in.fh}).result();
  co_await context.fs.unlock_all(client::HandleId{in.fh}, in.lock_owner);
  if (!flushed) co_return fail(flushed.error());
  co_return Reply{};
}

Task<Result<Reply>> fsync(Context& context, Request request) {
  co_await context.fs.fsync(client::HandleId{request.as<fuse_fsync_in>().fh});
  co_return Reply{};
}

Task<Result<Reply>> syncfs(Context& context, Request) {
  co_await context.fs.sync_all();
  co_return Reply{};
}

}  // namespace claudefs::access::fuse::verbs
