#include "meta/detail/locks.h"
#include "meta/detail/namespace.h"
#include "meta/ops/ops.h"

namespace claudefs::meta {
namespace {

Result<std::optional<Dentry>> find(const ReadContext& context, InodeId parent, const std::string& name) {
  if (name.size() > kNameMax) return fail(Errc::name_too_long);
  TRY(check_free(context, inode_lock(parent), false));
  TRY(check_free(context, dentry_lock(parent, name), true));
  TRY(load_directory(context, parent));
  std::optional<DentrySlot> slot;
  if (!name.empty()) slot = find_dentry(context, parent, name);
  if (!slot) return std::nullopt;
  return std::move(slot->dentry);
}

}  // namespace

Result<InodeReply> read_lookup(const ReadContext& context, const Lookup& op) {
  TRY_ASSIGN(const std::optional<Dentry> dentry, find(context, op.parent, op.name));
  if (!dentry) return fail(Errc::not_found);
  InodeReply reply;
  reply.inode.id = dentry->inode;
  if (!is_local(context, dentry->inode)) return reply;
  TRY(check_free(context, inode_lock(dentry->inode), true));
  TRY_ASSIGN(reply.inode, load_inode(context, dentry->inode));
  return reply;
}

Result<FindDentryReply> read_dentry(const ReadContext& context, const FindDentry& op) {
  TRY_ASSIGN(std::optional<Dentry> dentry, find(context, op.parent, op.name));
  return FindDentryReply{std::move(dentry)};
}

Result<InodeReply> read_attributes(const ReadContext& context, const GetAttributes& op) {
  TRY(check_free(context, inode_lock(op.inode), true));
  TRY_ASSIGN(Inode inode, load_inode(context, op.inode));
  return InodeReply{std::move(inode)};
}

}  // namespace claudefs::meta
