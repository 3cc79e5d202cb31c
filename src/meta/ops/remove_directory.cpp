#include "meta/detail/namespace.h"
#include "meta/detail/permission.h"
#include "meta/ops/ops.h"

namespace claudefs::meta {

Result<Plan<UnlinkReply>> plan_remove_directory(const ReadContext& context, const RemoveDirectory& op, Time) {
  TRY(check_name(op.name));
  TRY_ASSIGN(const Inode parent, open_directory(context, op.parent, op.caller, false));
  TRY_ASSIGN(const std::optional<DentrySlot> slot, find_settled(context, op.parent, op.name));
  if (!slot) return fail(Errc::not_found);
  TRY(check_access(context, parent, op.caller, kMayWrite));
  if (slot->dentry.type != FileType::directory) return fail(Errc::not_directory);
  const InodeId inode = slot->dentry.inode;
  Plan<UnlinkReply> plan;
  if (op.to_trash) plan.parts.push_back(KeepInTrash{inode, directory_of(parent), op.name});
  plan.parts.push_back(RemoveDirInode{inode, sticky_owner(parent, op.caller)});
  plan.parts.push_back(ChangeDentry{op.parent, op.name, inode, {}, FileType::none});
  plan.answer = [inode, to_trash = op.to_trash](const After& after) {
    return UnlinkReply{inode, 0, after.at(inode), to_trash};
  };
  return plan;
}

Result<UnlinkReply> apply_remove_directory(ApplyContext& context, const RemoveDirectory& op) {
  TRY_ASSIGN(const Plan<UnlinkReply> plan, plan_remove_directory(context, op, context.now()));
  return run_plan(context, plan);
}

}  // namespace claudefs::meta
