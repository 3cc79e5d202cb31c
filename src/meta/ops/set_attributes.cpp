#include "meta/detail/extents.h"
#include "meta/detail/locks.h"
#include "meta/detail/namespace.h"
#include "meta/ops/ops.h"

namespace claudefs::meta {
namespace {

Result<void> resize(ApplyContext& context, Inode& inode, u64 size) {
  if (inode.type == FileType::directory) return fail(Errc::is_directory);
  if (inode.type != FileType::regular)
    return fail(Errc::invalid_argument, "only regular files have a size to set");
  if (size > kFileSizeMax) return fail(Errc::file_too_big);
  if (size < inode.size) {
    ContentEdit edit(context, inode);
    if (size == 0)
      edit.discard_all();
    else
      edit.cut(size, kFileSizeMax);
    edit.finish(false);
  }
  if (size != inode.size) ++inode.data_version;
  change_usage(context, {.logical_bytes = static_cast<i64>(size) - static_cast<i64>(inode.size)});
  inode.size = size;
  return {};
}

}  // namespace

Result<InodeReply> apply_set_attributes(ApplyContext& context, const SetAttributes& op) {
  TRY(check_free(context, inode_lock(op.inode), false));
  TRY_ASSIGN(Inode inode, load_inode(context, op.inode));
  if (op.size) {
    TRY(resize(context, inode, *op.size));
    inode.modified = context.now();
  }
  if (op.mode) inode.mode = *op.mode & 07777;
  if (op.uid) inode.uid = *op.uid;
  if (op.gid) inode.gid = *op.gid;
  if (op.clear_set_id) {
    inode.mode &= static_cast<u16>(~04000);
    if ((inode.mode & 010) != 0) inode.mode &= static_cast<u16>(~02000);
  }
  if (op.accessed) inode.accessed = *op.accessed;
  if (op.modified) inode.modified = *op.modified;
  inode.changed = std::max(inode.changed, context.now());
  store_inode(context, inode);
  return InodeReply{inode};
}

}  // namespace claudefs::meta
