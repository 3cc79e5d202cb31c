#include "meta/detail/namespace.h"
#include "meta/detail/permission.h"
#include "meta/detail/volumes.h"
#include "meta/names.h"
#include "meta/ops/ops.h"

namespace claudefs::meta {

Result<Plan<InodeReply>> plan_make_directory(const ReadContext& context, const MakeDirectory& op, u32 attempt,
                                             Time now) {
  TRY(check_name(op.name));
  TRY_ASSIGN(const Inode parent, open_directory(context, op.parent, op.caller, false));
  TRY_ASSIGN(const std::optional<DentrySlot> slot, find_settled(context, op.parent, op.name));
  if (slot) return fail(Errc::exists);
  TRY(check_access(context, parent, op.caller, kMayWrite));
  TRY(check_volume_lives(context, parent.volume));
  Newborn made;
  Inode& inode = made.inode;
  inode.id = directory_id(directory_of(parent), op.name, op.first_attempt + attempt, context.shard_count());
  inode.type = FileType::directory;
  inode.mode = op.mode & 07777;
  inode.nlink = 2;
  inode.parent = directory_of(parent);
  inherit(context, made, parent, op.caller, op.umask);
  inode.accessed = inode.modified = inode.changed = inode.born = now;
  return Plan<InodeReply>{
      {MakeInode{made}, ChangeDentry{op.parent, op.name, {}, inode.id, FileType::directory}},
      [inode](const After&) { return InodeReply{inode}; },
      {}};
}

Result<InodeReply> apply_make_directory(ApplyContext& context, const MakeDirectory& op) {
  for (u32 attempt = 0;; ++attempt) {
    TRY_ASSIGN(const Plan<InodeReply> plan, plan_make_directory(context, op, attempt, context.now()));
    // It was proposed because the id of some attempt is this shard's: not those of others, nor a taken one.
    if (!all_local(context, plan.parts) || !validate(context, plan.parts.front())) continue;
    return run_plan(context, plan);
  }
}

}  // namespace claudefs::meta
