#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "access/fuse/detail/newer.h"
#include "access/fuse/verbs/verbs.h"

namespace claudefs::access::fuse::verbs {
namespace {

meta::Time time_of(runtime::WallTime at) {
  return {at.ns / 1'000'000'000, static_cast<u32>(at.ns % 1'000'000'000)};
}

client::AttributeChange change_of(const fuse_setattr_in& in, runtime::WallTime now) {
  client::AttributeChange change;
  if (in.valid & FATTR_MODE) change.mode = static_cast<u16>(in.mode & 07777);
  if (in.valid & FATTR_UID) change.uid = in.uid;
  if (in.valid & FATTR_GID) change.gid = in.gid;
  if (in.valid & FATTR_SIZE) change.size = in.size;
  if (in.valid & FATTR_ATIME) change.accessed = meta::Time{static_cast<i64>(in.atime), in.atimensec};
  if (in.valid & FATTR_MTIME) change.modified = meta::Time{static_cast<i64>(in.mtime), in.mtimensec};
  change.accessed_now = (in.valid & FATTR_ATIME_NOW) != 0;
  change.modified_now = (in.valid & FATTR_MTIME_NOW) != 0;
  if (change.accessed_now) change.accessed = time_of(now);
  if (change.modified_now) change.modified = time_of(now);
  // With FUSE_HANDLE_KILLPRIV_V2 a change of owner drops set-id bits at the server, not in the kernel.
  change.clear_set_id = (in.valid & FATTR_KILL_SUIDGID) != 0;
  if (in.valid & FATTR_FH) change.handle = client::HandleId{in.fh};
  return change;
}

}  // namespace

Task<Result<Reply>> getattr(Context& context, Request request) {
  const client::Inode inode = co_await context.fs.get_attributes(request.node());
  co_return attributes_reply(context, inode);
}

// Asked instead of GETATTR when the caller wants the time of birth.
Task<Result<Reply>> statx(Context& context, Request request) {
  const client::Inode inode = co_await context.fs.get_attributes(request.node());
  const fuse_attr_out basic = attr_out_of(context, inode);
  const auto time_of_inode = [](meta::Time at) { return detail::StatxTime{at.seconds, at.nanoseconds, 0}; };
  detail::StatxOut out{};
  out.attr_valid = basic.attr_valid;
  out.attr_valid_nsec = basic.attr_valid_nsec;
  detail::Statx& stat = out.stat;
  stat.mask = STATX_BASIC_STATS | STATX_BTIME;
  stat.blksize = basic.attr.blksize;
  stat.nlink = basic.attr.nlink;
  stat.uid = basic.attr.uid;
  stat.gid = basic.attr.gid;
  stat.mode = static_cast<u16>(basic.attr.mode);
  stat.ino = basic.attr.ino;
  stat.size = basic.attr.size;
  stat.blocks = basic.attr.blocks;
  stat.atime = time_of_inode(inode.accessed);
  stat.btime = time_of_inode(inode.born);
  stat.ctime = time_of_inode(inode.changed);
  stat.mtime = time_of_inode(inode.modified);
  // As the kernel packs it into 32 bits.
  stat.rdev_major = (basic.attr.rdev & 0xfff00) >> 8;
  stat.rdev_minor = (basic.attr.rdev & 0xff) | ((basic.attr.rdev >> 12) & 0xfff00);
  Reply reply = Reply::of(out);
  reply.flags.emplace_back(inode.id, inode.flags);
  co_return reply;
}

Task<Result<Reply>> setattr(Context& context, Request request) {
  client::AttributeChange change = change_of(request.as<fuse_setattr_in>(), context.env.wall_now());
  change.caller = caller_of(context, request);
  const client::Inode inode = co_await context.fs.set_attributes(request.node(), std::move(change));
  co_return attributes_reply(context, inode);
}

// The kernel checks permissions itself (default_permissions): ENOSYS makes it stop asking.
Task<Result<Reply>> access(Context&, Request) { co_return Reply::with_error(ENOSYS); }

}  // namespace claudefs::access::fuse::verbs
