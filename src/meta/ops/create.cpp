#include "meta/detail/locks.h"
#include "meta/detail/namespace.h"
#include "meta/ops/ops.h"

namespace claudefs::meta {
namespace {

Result<void> check(const Create& op) {
  if (op.type == FileType::none || op.type == FileType::directory || op.type > FileType::block_device)
    return fail(Errc::invalid_argument, "Create makes anything but directories");
  if (op.type != FileType::symlink) return {};
  if (op.target.empty()) return fail(Errc::not_found, "a symbolic link needs a target");
  if (op.target.size() > kSymlinkMax) return fail(Errc::name_too_long);
  return {};
}

}  // namespace

Result<InodeReply> apply_create(ApplyContext& context, const Create& op) {
  TRY(check(op));
  TRY(check_free(context, inode_lock(op.parent), false));
  TRY_ASSIGN(const Inode parent, load_directory(context, op.parent));

  Inode inode;
  // Number 1 is the root's.
  inode.id = InodeId::make(op.parent.site(), context.shard(), context.next("inode") + 1);
  inode.type = op.type;
  inode.mode = op.mode & 07777;
  inode.nlink = 1;
  inherit(inode, parent, op.caller);
  if (op.type == FileType::character_device || op.type == FileType::block_device) inode.rdev = op.rdev;
  if (op.type == FileType::symlink) {
    inode.target = op.target;
    inode.size = op.target.size();
  }
  inode.accessed = inode.modified = inode.changed = inode.born = context.now();

  TRY(run_parts(context, {ChangeDentry{op.parent, op.name, {}, inode.id, op.type}}));
  store_inode(context, inode);
  change_usage(context, {.inodes = 1});
  return InodeReply{inode};
}

}  // namespace claudefs::meta
