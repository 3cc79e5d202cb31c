#include "base/mutant.h"
#include "meta/detail/locks.h"
#include "meta/detail/namespace.h"
#include "meta/detail/permission.h"
#include "meta/detail/volumes.h"
#include "meta/names.h"
#include "meta/ops/ops.h"

namespace claudefs::meta {

CFS_DEFINE_MUTANT(meta_exchanges_half, "meta: an exchange moves one of the two");

namespace {

constexpr FileType kDirectory = FileType::directory;

Result<void> check_replaceable(const Dentry& moved, const Dentry& target, RenameMode mode) {
  if (mode == RenameMode::no_replace) return fail(Errc::exists);
  if (mode == RenameMode::exchange) return {};
  if (moved.type == kDirectory && target.type != kDirectory) return fail(Errc::not_directory);
  if (moved.type != kDirectory && target.type == kDirectory) return fail(Errc::is_directory);
  return {};
}

// The inode itself: its parent, if it is a directory that gets another one, and its `changed`.
Part follow(const Dentry& moved, const Inode& from, const Inode& to, const Caller& caller, Time now) {
  const std::optional<u32> owner = sticky_owner(from, caller);
  if (moved.type == kDirectory && directory_of(from) != directory_of(to))
    return SetParent{moved.inode, directory_of(to), now, owner, caller};
  return AdjustLinks{moved.inode, 0, std::nullopt, {}, now, owner};
}

void leave(std::vector<Part>& parts, const Dentry& target, const Inode& directory, const Rename& op,
           Time now) {
  const std::optional<u32> owner = sticky_owner(directory, op.caller);
  if (target.type == kDirectory)
    parts.push_back(RemoveDirInode{target.inode, owner});
  else
    parts.push_back(AdjustLinks{target.inode, -1, std::nullopt, op.replaced_held_open_by, now, owner});
}

// What a union file system puts where something below must not show: a character device 0:0.
Newborn whiteout(const ReadContext& context, const Inode& directory, const Rename& op, Time now) {
  Newborn made;
  Inode& inode = made.inode;
  // No counter is at hand where plans are made; names and times of one directory do not come twice.
  const u64 stamp = static_cast<u64>(now.seconds) * 1'000'000'000 + now.nanoseconds;
  const u64 hash = hash_of_name(op.old_name, directory.id.value ^ stamp);
  inode.id = InodeId::make(directory.id.site(), directory.id.shard(), u64{1} << 43 | hash >> 21);
  inode.type = FileType::character_device;
  inode.nlink = 1;
  inherit(context, made, directory, op.caller, 0);
  inode.accessed = inode.modified = inode.changed = inode.born = now;
  return made;
}

}  // namespace

Result<Plan<RenameReply>> plan_rename(const ReadContext& context, const Rename& op,
                                      const FindDentryReply& there_is, Time now) {
  const std::optional<Dentry>& target = there_is.dentry;
  TRY(check_name(op.old_name));
  TRY(check_name(op.new_name));
  TRY_ASSIGN(const Inode old_parent, open_directory(context, op.old_parent, op.caller, false));
  const Inode& new_parent = there_is.directory;
  TRY(check_same_volume(old_parent.volume, new_parent.volume));
  TRY_ASSIGN(const std::optional<DentrySlot> slot, find_settled(context, op.old_parent, op.old_name));
  if (!slot) return fail(Errc::not_found);
  const Dentry moved = slot->dentry;
  const bool exchange = op.mode == RenameMode::exchange;
  if (!target && exchange) return fail(Errc::not_found);
  if (target) TRY(check_replaceable(moved, *target, op.mode));

  Plan<RenameReply> plan;
  RenameReply reply{moved.inode, {}, 0};
  if (target && target->inode == moved.inode) {  // names of one inode: nothing to do
    plan.answer = [reply](const After&) { return reply; };
    return plan;
  }
  TRY(check_access(context, old_parent, op.caller, kMayWrite));
  TRY(check_same_quota(old_parent.quota_directory, new_parent.quota_directory));
  const InodeId there = target ? target->inode : InodeId{};
  if (target && !exchange) leave(plan.parts, *target, new_parent, op, now);
  ChangeDentry old_name{op.old_parent, op.old_name, moved.inode, {}, FileType::none};
  if (exchange) {
    old_name.inode = there;
    old_name.type = target->type;
  } else if (op.whiteout) {
    TRY(check_volume_lives(context, old_parent.volume));
    Newborn left = whiteout(context, old_parent, op, now);
    old_name.inode = left.inode.id;
    old_name.type = left.inode.type;
    plan.parts.push_back(MakeInode{std::move(left)});
  }
  if (!exchange || !CFS_MUTANT(meta_exchanges_half)) plan.parts.push_back(std::move(old_name));
  plan.parts.push_back(ChangeDentry{op.new_parent, op.new_name, there, moved.inode, moved.type});
  plan.parts.push_back(follow(moved, old_parent, new_parent, op.caller, now));
  if (exchange) plan.parts.push_back(follow(*target, new_parent, old_parent, op.caller, now));
  const InodeId old_directory = directory_of(old_parent), new_directory = directory_of(new_parent);
  if (old_directory != new_directory) {
    if (moved.type == kDirectory) plan.moves.push_back({moved.inode, new_directory});
    if (exchange && target->type == kDirectory) plan.moves.push_back({target->inode, old_directory});
  }
  if (target && !exchange) reply.replaced = there;
  plan.answer = [reply](const After& after) {
    RenameReply answer = reply;
    if (const auto left = after.find(reply.replaced); left != after.end())
      answer.replaced_nlink = left->second.nlink;
    return answer;
  };
  return plan;
}

Result<FindDentryReply> find_target(const ReadContext& context, const Rename& op) {
  return read_dentry(context, FindDentry{op.new_parent, op.new_name, op.caller});
}

Result<RenameReply> apply_rename(ApplyContext& context, const Rename& op) {
  if (!is_local(context, op.new_parent)) return fail(Errc::cross_device);
  TRY(check_free(context, inode_lock(op.old_parent), false));  // it may be on its way
  TRY(load_directory(context, op.old_parent));
  TRY_ASSIGN(const FindDentryReply there_is, find_target(context, op));
  TRY_ASSIGN(const Plan<RenameReply> plan, plan_rename(context, op, there_is, context.now()));
  // With other shards about, others may change ancestors: that takes the lock of renames.
  if (!plan.moves.empty() && context.shard_count() > 1) return fail(Errc::cross_device);
  for (const auto& move : plan.moves) {
    for (InodeId at = move.below; at != InodeId{};) {
      if (at == move.directory) return fail(Errc::would_loop);
      TRY_ASSIGN(const Inode ancestor, load_inode(context, at));
      at = ancestor.parent == at ? InodeId{} : ancestor.parent;
    }
  }
  return run_plan(context, plan);
}

}  // namespace claudefs::meta
