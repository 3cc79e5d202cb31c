#include "meta/detail/namespace.h"
#include "meta/detail/permission.h"
#include "meta/detail/volumes.h"
#include "meta/ops/ops.h"

namespace claudefs::meta {

Result<Plan<InodeReply>> plan_new_name(const ReadContext& context, const NewName& name, const Inode& inode,
                                       Part of_inode) {
  TRY(check_name(name.name));
  TRY_ASSIGN(const Inode parent, open_directory(context, name.parent, name.caller, false));
  TRY_ASSIGN(const std::optional<DentrySlot> slot, find_settled(context, name.parent, name.name));
  if (slot) return fail(Errc::exists);
  TRY(check_same_volume(inode.volume, parent.volume));
  TRY(check_access(context, parent, name.caller, kMayWrite));
  if (inode.type == FileType::directory) return fail(Errc::not_permitted, "directories have one name");
  if (auto* restored = std::get_if<TakeFromTrash>(&of_inode))
    restored->quota_directory = parent.quota_directory;
  else
    TRY(check_same_quota(inode.quota_directory, parent.quota_directory));
  return Plan<InodeReply>{
      {std::move(of_inode), ChangeDentry{name.parent, name.name, {}, inode.id, inode.type}},
      [id = inode.id](const After& after) { return InodeReply{after.at(id)}; },
      {}};
}

Result<Plan<InodeReply>> plan_link(const ReadContext& context, const Link& op, const Inode& inode, Time now) {
  return plan_new_name(context, {op.new_parent, op.new_name, op.caller}, inode,
                       AdjustLinks{op.inode, 1, std::nullopt, {}, now});
}

Result<InodeReply> apply_link(ApplyContext& context, const Link& op) {
  if (!is_local(context, op.inode)) return fail(Errc::cross_device);
  TRY_ASSIGN(const Inode inode, load_inode(context, op.inode));
  TRY_ASSIGN(const Plan<InodeReply> plan, plan_link(context, op, inode, context.now()));
  return run_plan(context, plan);
}

}  // namespace claudefs::meta
