#include "base/mutant.h"
#include "meta/acl.h"
#include "meta/detail/extents.h"
#include "meta/detail/fragments.h"
#include "meta/detail/keys.h"
#include "meta/detail/locks.h"
#include "meta/detail/namespace.h"
#include "meta/detail/permission.h"
#include "meta/ops/ops.h"

namespace claudefs::meta {

CFS_DEFINE_MUTANT(meta_stranger_keeps_set_gid,
                  "meta: who is not of the group leaves its bit on what cannot be executed");
CFS_DEFINE_MUTANT(meta_permission_keeps_set_id, "meta: a change of owner keeps the set-id bits");
CFS_DEFINE_MUTANT(meta_truncate_keeps_content,
                  "meta: what a truncation cuts off is there again when the file grows");

namespace {

constexpr u16 kSetUser = 04000, kSetGroup = 02000, kGroupExecute = 010;

Result<void> check_times(const ReadContext& context, const SetAttributes& op, const Inode& inode) {
  const bool exact = (op.accessed && !op.accessed_now) || (op.modified && !op.modified_now);
  if ((!op.accessed && !op.modified) || is_owner(op.caller, inode)) return {};
  // With the size comes its time.
  if (op.size && !op.accessed && op.modified_now) return {};
  if (exact) return fail(Errc::not_permitted, "only the owner sets times");
  return check_access(context, inode, op.caller, kMayWrite);
}

Result<void> check_owners(const SetAttributes& op, const Inode& inode) {
  if (is_root(op.caller)) return {};
  if (op.uid && (op.caller.uid != inode.uid || *op.uid != inode.uid))
    return fail(Errc::not_permitted, "only root gives files away");
  if (op.gid && *op.gid != inode.gid && !is_member(op.caller, *op.gid))
    return fail(Errc::not_permitted, fmt::format("the caller is not in group {}", *op.gid));
  if (op.gid && op.caller.uid != inode.uid)
    return fail(Errc::not_permitted, "only the owner changes the group");
  return {};
}

Result<void> check(const ReadContext& context, const SetAttributes& op, const Inode& inode) {
  if (op.mode && !is_owner(op.caller, inode))
    return fail(Errc::not_permitted, "only the owner changes the mode");
  TRY(check_owners(op, inode));
  TRY(check_times(context, op, inode));
  if (op.size && !op.size_granted) TRY(check_access(context, inode, op.caller, kMayWrite));
  return {};
}

// As Linux does (setattr_should_drop_sgid): without the right to execute, the bit for the group stays where
// whoever acts belongs to the group.
void drop_set_id(Inode& inode, const Caller& caller) {
  if (inode.type == FileType::directory) return;  // there the bit says who inherits
  inode.mode &= static_cast<u16>(~kSetUser);
  const bool may_keep =
      is_root(caller) || is_member(caller, inode.gid) || CFS_MUTANT(meta_stranger_keeps_set_gid);
  if ((inode.mode & kGroupExecute) != 0 || !may_keep) inode.mode &= static_cast<u16>(~kSetGroup);
}

// A program whose content or owner changes is no longer the one that was given the capability.
void drop_capability(ApplyContext& context, Inode& inode) {
  if ((inode.flags & kHasCapability) == 0) return;
  context.remove(xattr_key(inode.id, kCapability));
  inode.flags &= ~u32{kHasCapability};
}

// Gives the access control list that goes with it, where there is one that changes.
std::optional<std::string> set_mode(const ReadContext& context, Inode& inode, const SetAttributes& op) {
  inode.mode = *op.mode & 07777;
  if (!is_root(op.caller) && !is_member(op.caller, op.gid.value_or(inode.gid)))
    inode.mode &= static_cast<u16>(~kSetGroup);
  if ((inode.flags & kHasAccessAcl) == 0) return std::nullopt;
  Result<Acl> acl = Acl::parse(context.get(xattr_key(inode.id, kAccessAcl)).value_or(""));
  if (!acl || acl->empty()) return std::nullopt;
  acl->follow(inode.mode);
  return acl->format();
}

Result<void> resize(ApplyContext& context, Inode& inode, u64 size) {
  if (inode.type == FileType::directory) return fail(Errc::is_directory);
  if (inode.type != FileType::regular)
    return fail(Errc::invalid_argument, "only regular files have a size to set");
  if (size > kFileSizeMax) return fail(Errc::file_too_big);
  if (size < inode.size) {
    ContentEdit edit(context, inode);
    if (CFS_MUTANT(meta_truncate_keeps_content))
      ;
    else if (size == 0)
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
  TRY(check(context, op, inode));
  if (is_split(inode) && !op.size) return fail(Errc::cross_device, "its fragments follow");
  if (op.size) {
    TRY(resize(context, inode, *op.size));
    inode.modified = context.now();
  }
  const bool owner_changes = op.uid || op.gid;
  if (op.mode)
    if (const auto list = set_mode(context, inode, op)) context.put(xattr_key(inode.id, kAccessAcl), *list);
  if (op.clear_set_id || (owner_changes && !op.mode && !CFS_MUTANT(meta_permission_keeps_set_id)))
    drop_set_id(inode, op.caller);
  if (op.uid) inode.uid = *op.uid;
  if (op.gid) inode.gid = *op.gid;
  if (owner_changes || op.size || op.clear_set_id) drop_capability(context, inode);
  if (op.accessed) inode.accessed = *op.accessed;
  if (op.modified) inode.modified = *op.modified;
  inode.changed = std::max(inode.changed, context.now());
  store_inode(context, inode);
  return InodeReply{inode};
}

Result<Plan<InodeReply>> plan_set_directory(const ReadContext& context, const SetAttributes& op, Time now) {
  TRY(check_free(context, inode_lock(op.inode), false));
  TRY_ASSIGN(const Inode before, load_directory(context, op.inode));
  TRY(check(context, op, before));
  Newborn to = with_lists(context, before);
  if (op.mode)
    if (auto list = set_mode(context, to.inode, op)) to.access_acl = std::move(*list);
  if (op.uid) to.inode.uid = *op.uid;
  if (op.gid) to.inode.gid = *op.gid;
  if (op.uid || op.gid) to.inode.flags &= ~u32{kHasCapability};
  return Plan<InodeReply>{parts_to_set(context, before, std::move(to), op.accessed, op.modified, now),
                          [id = op.inode](const After& after) { return InodeReply{after.at(id)}; },
                          {}};
}

Result<Nothing> apply_note_accessed(ApplyContext& context, const NoteAccessed& op) {
  for (const NoteAccessed::Read& read : op.reads) {
    if (!is_local(context, read.inode) || !check_free(context, inode_lock(read.inode), false)) continue;
    Result<Inode> inode = load_inode(context, read.inode);
    if (!inode || inode->accessed >= read.at) continue;
    inode->accessed = read.at;
    store_inode(context, *inode);
  }
  return Nothing{};
}

}  // namespace claudefs::meta
