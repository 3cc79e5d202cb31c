#include "meta/detail/namespace.h"
#include "meta/ops/ops.h"

namespace claudefs::meta {
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
Part follow(const Dentry& moved, InodeId from, InodeId to, Time now) {
  if (moved.type == kDirectory && from != to) return SetParent{moved.inode, to, now};
  return AdjustLinks{moved.inode, 0, std::nullopt, {}, now};
}

void leave(std::vector<Part>& parts, const Dentry& target, SessionId held_open_by, Time now) {
  if (target.type == kDirectory)
    parts.push_back(RemoveDirInode{target.inode});
  else
    parts.push_back(AdjustLinks{target.inode, -1, std::nullopt, held_open_by, now});
}

}  // namespace

Result<Plan<RenameReply>> plan_rename(const ReadContext& context, const Rename& op,
                                      const std::optional<Dentry>& target, Time now) {
  TRY(check_name(op.old_name));
  TRY(check_name(op.new_name));
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
  const InodeId there = target ? target->inode : InodeId{};
  if (target && !exchange) leave(plan.parts, *target, op.replaced_held_open_by, now);
  plan.parts.push_back(exchange ? ChangeDentry{op.old_parent, op.old_name, moved.inode, there, target->type}
                                : ChangeDentry{op.old_parent, op.old_name, moved.inode, {}, FileType::none});
  plan.parts.push_back(ChangeDentry{op.new_parent, op.new_name, there, moved.inode, moved.type});
  plan.parts.push_back(follow(moved, op.old_parent, op.new_parent, now));
  if (exchange) plan.parts.push_back(follow(*target, op.new_parent, op.old_parent, now));
  if (op.old_parent != op.new_parent) {
    if (moved.type == kDirectory) plan.moves.push_back({moved.inode, op.new_parent});
    if (exchange && target->type == kDirectory) plan.moves.push_back({target->inode, op.old_parent});
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

Result<RenameReply> apply_rename(ApplyContext& context, const Rename& op) {
  if (!is_local(context, op.new_parent)) return fail(Errc::cross_device);
  TRY(load_directory(context, op.old_parent));
  TRY_ASSIGN(const std::optional<DentrySlot> slot, find_settled(context, op.new_parent, op.new_name));
  TRY_ASSIGN(const Plan<RenameReply> plan,
             plan_rename(context, op, slot ? std::optional(slot->dentry) : std::nullopt, context.now()));
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
