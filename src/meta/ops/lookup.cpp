#include "meta/detail/fragments.h"
#include "meta/detail/locks.h"
#include "meta/detail/namespace.h"
#include "meta/detail/permission.h"
#include "meta/ops/ops.h"

namespace claudefs::meta {
Result<InodeReply> read_lookup(const ReadContext& context, const Lookup& op) {
  TRY(open_directory(context, op.parent, op.caller, false));
  TRY_ASSIGN(const std::optional<DentrySlot> slot, find_settled(context, op.parent, op.name));
  if (!slot) return fail(Errc::not_found);
  InodeReply reply;
  reply.inode.id = slot->dentry.inode;
  if (!is_local(context, reply.inode.id)) return reply;
  TRY(check_free(context, inode_lock(reply.inode.id), true));
  TRY_ASSIGN(reply.inode, load_inode(context, reply.inode.id));
  return reply;
}

Result<FindDentryReply> read_dentry(const ReadContext& context, const FindDentry& op) {
  TRY_ASSIGN(std::optional<DentrySlot> slot, find_settled(context, op.parent, op.name));
  FindDentryReply reply;
  TRY_ASSIGN(reply.directory, open_directory(context, op.parent, op.caller, true));
  if (slot) reply.dentry = std::move(slot->dentry);
  return reply;
}

Result<InodeReply> read_attributes(const ReadContext& context, const GetAttributes& op) {
  TRY(check_free(context, inode_lock(op.inode), true));
  TRY_ASSIGN(Inode inode, load_inode(context, op.inode));
  TRY(check_access(context, inode, op.caller, op.access));
  return InodeReply{std::move(inode)};
}

Result<ReadFragments::Reply> read_fragments(const ReadContext& context, const ReadFragments& op) {
  TRY(check_free(context, inode_lock(op.directory), true));
  ReadFragments::Reply reply;
  TRY_ASSIGN(reply.inode, load_directory(context, op.directory));
  if (is_split(reply.inode)) reply.fragments = load_fragments(context, op.directory)->map;
  return reply;
}

}  // namespace claudefs::meta
