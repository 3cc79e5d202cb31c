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
  if (in.valid & FATTR_ATIME_NOW) change.accessed = time_of(now);
  if (in.valid & FATTR_MTIME_NOW) change.modified = time_of(now);
  // With FUSE_HANDLE_KILLPRIV_V2 a change of owner drops set-id bits here, not in the kernel.
  const bool owner_changes = change.uid.has_value() || change.gid.has_value();
  change.clear_set_id = (in.valid & FATTR_KILL_SUIDGID) != 0 || (owner_changes && !change.mode);
  return change;
}

}  // namespace

Task<Result<Reply>> getattr(Context& context, Request request) {
  const client::Inode inode = co_await context.fs.get_attributes(request.node());
  co_return Reply::of(attr_out_of(context, inode));
}

Task<Result<Reply>> setattr(Context& context, Request request) {
  client::AttributeChange change = change_of(request.as<fuse_setattr_in>(), context.env.wall_now());
  const client::Inode inode = co_await context.fs.set_attributes(request.node(), std::move(change));
  co_return Reply::of(attr_out_of(context, inode));
}

// The kernel checks permissions itself (default_permissions): ENOSYS makes it stop asking.
Task<Result<Reply>> access(Context&, Request) { co_return Reply::with_error(ENOSYS); }

}  // namespace claudefs::access::fuse::verbs
