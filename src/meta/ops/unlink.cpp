#include "meta/detail/namespace.h"
#include "meta/detail/permission.h"
#include "meta/ops/ops.h"

namespace claudefs::meta {

Result<Plan<UnlinkReply>> plan_unlink(const ReadContext& context, const Unlink& op, Time now) {
  TRY(check_name(op.name));
  TRY_ASSIGN(const Inode parent, open_directory(context, op.parent, op.caller, false));
  TRY_ASSIGN(const std::optional<DentrySlot> slot, find_settled(context, op.parent, op.name));
  if (!slot) return fail(Errc::not_found);
  TRY(check_access(context, parent, op.caller, kMayWrite));
  if (slot->dentry.type == FileType::directory) return fail(Errc::is_directory);
  const InodeId inode = slot->dentry.inode;
  Plan<UnlinkReply> plan;
  plan.parts = {ChangeDentry{op.parent, op.name, inode, {}, FileType::none},
                AdjustLinks{inode, -1, std::nullopt, op.held_open_by, now, sticky_owner(parent, op.caller)}};
  if (op.to_trash) plan.parts.push_back(KeepInTrash{inode, directory_of(parent), op.name});
  plan.answer = [inode, to_trash = op.to_trash](const After& after) {
    const u32 nlink = after.at(inode).nlink;
    return UnlinkReply{inode, nlink, {}, to_trash && nlink == 0};
  };
  return plan;
}

Result<UnlinkReply> apply_unlink(ApplyContext& context, const Unlink& op) {
  TRY_ASSIGN(const Plan<UnlinkReply> plan, plan_unlink(context, op, context.now()));
  return run_plan(context, plan);
}

}  // namespace claudefs::meta
