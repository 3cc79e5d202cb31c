#include "meta/detail/keys.h"
#include "meta/detail/locks.h"
#include "meta/detail/namespace.h"
#include "meta/detail/permission.h"
#include "meta/detail/records.h"
#include "meta/detail/volumes.h"
#include "meta/ops/ops.h"

namespace claudefs::meta {
namespace {

bool is_device(FileType type) { return type == FileType::character_device || type == FileType::block_device; }

Result<void> check(const Create& op) {
  if (op.type == FileType::none || op.type == FileType::directory || op.type > FileType::block_device)
    return fail(Errc::invalid_argument, "Create makes anything but directories");
  // A whiteout opens nothing: anybody may make one.
  if (is_device(op.type) && !is_root(op.caller) && !(op.type == FileType::character_device && op.rdev == 0))
    return fail(Errc::not_permitted, "only root makes devices");
  if (op.type != FileType::symlink) return {};
  if (op.target.empty()) return fail(Errc::not_found, "a symbolic link needs a target");
  if (op.target.size() > kSymlinkMax) return fail(Errc::name_too_long);
  return {};
}

Newborn newborn(ApplyContext& context, const Inode& parent, FileType type, u16 mode) {
  Newborn out;
  // Number 1 is the root's.
  out.inode.id = InodeId::make(parent.id.site(), context.shard(), context.next("inode") + 1);
  out.inode.type = type;
  out.inode.mode = mode & 07777;
  out.inode.accessed = out.inode.modified = out.inode.changed = out.inode.born = context.now();
  return out;
}

}  // namespace

Result<InodeReply> apply_create(ApplyContext& context, const Create& op) {
  TRY(check(op));
  TRY(check_free(context, inode_lock(op.parent), false));
  TRY_ASSIGN(const Inode parent, open_directory(context, op.parent, op.caller, false));
  TRY(check_volume_lives(context, parent.volume));

  Newborn made = newborn(context, parent, op.type, op.mode);
  Inode& inode = made.inode;
  inode.nlink = 1;
  inherit(context, made, parent, op.caller, op.umask);
  if (is_device(op.type)) inode.rdev = op.rdev;
  if (op.type == FileType::symlink) {
    inode.target = op.target;
    inode.size = op.target.size();
  }
  // A name that is taken is told before a directory that is closed, as Linux does.
  TRY(run_parts(context, {ChangeDentry{op.parent, op.name, {}, inode.id, op.type}}));
  TRY(check_access(context, parent, op.caller, kMayWrite));
  store_newborn(context, made);
  return InodeReply{inode};
}

Result<InodeReply> apply_create_unnamed(ApplyContext& context, const CreateUnnamed& op) {
  TRY(check_free(context, inode_lock(op.parent), false));
  TRY_ASSIGN(const Inode parent, open_directory(context, op.parent, op.caller, true));
  TRY(check_volume_lives(context, parent.volume));
  Newborn made = newborn(context, parent, FileType::regular, op.mode);
  inherit(context, made, parent, op.caller, op.umask);
  store_newborn(context, made);
  context.store(orphan_key(made.inode.id), OrphanRecord{context.hlc(), true, op.linkable});
  return InodeReply{made.inode};
}

}  // namespace claudefs::meta
