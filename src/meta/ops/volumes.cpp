// Volumes are made and deleted in shard 0; every shard empties its own part of a deleted one.
#include "meta/volumes.h"

#include <algorithm>

#include "meta/detail/keys.h"
#include "meta/detail/locks.h"
#include "meta/detail/namespace.h"
#include "meta/detail/records.h"
#include "meta/detail/trash.h"
#include "meta/detail/volumes.h"
#include "meta/names.h"
#include "meta/ops/ops.h"
#include "meta/session_volume.h"

namespace claudefs::meta {
namespace {

constexpr std::size_t kEntriesAtOnce = 2000;  // of directories, in one command

Inode make_root(const Volume& volume) {
  Inode root;
  root.id = volume.root;
  root.type = FileType::directory;
  root.mode = 0755;
  root.nlink = 2;
  root.volume = volume.id;
  root.accessed = root.modified = root.changed = root.born = volume.created;
  return root;
}

Result<void> check_shard(const ReadContext& context) {
  if (context.shard() == ShardId{0}) return {};
  return fail(Errc::invalid_argument, "the records of volumes are in shard 0");
}

// True: none of its entries is left.
bool remove_entries(ApplyContext& context, InodeId directory, std::size_t& budget) {
  std::vector<std::string> gone;
  const std::string dentries = dentries_key(directory);
  bool all = true;
  context.scan(dentries, dentries, [&](std::string_view key, std::string_view) {
    all = gone.size() < budget;
    if (all) gone.emplace_back(key);
    return all;
  });
  budget -= gone.size();
  for (std::string& key : gone) context.remove(std::move(key));
  return all;
}

// False: it has more entries than the budget allows.
bool purge(ApplyContext& context, InodeId id, VolumeId volume, std::size_t& budget) {
  const Result<Inode> inode = load_inode(context, id);
  if (!inode || inode->volume != volume) return true;
  if (!check_free(context, inode_lock(id), true)) return true;  // the next round finds it
  if (inode->type == FileType::directory && !remove_entries(context, id, budget)) return false;
  leave_trash(context, id);
  forget_inode(context, *inode);
  return true;
}

}  // namespace

Result<ListVolumesReply> read_volumes(const ReadContext& context, const ListVolumes&) {
  TRY(check_shard(context));
  return ListVolumesReply{list_volumes(context)};
}

Result<Volume> read_volume(const ReadContext& context, const FindVolume& op) {
  TRY(check_shard(context));
  std::optional<Volume> volume = find_volume(context, op.name);
  if (!volume || volume->state != VolumeState::active) return no_such_volume(context, op.name);
  return std::move(*volume);
}

Result<Plan<Volume>> plan_create_volume(const ReadContext& context, const CreateVolume& op, u32 attempt,
                                        Time now) {
  TRY(check_shard(context));
  TRY(check_volume_name(op.name));
  const std::optional<Volume> there = find_volume(context, op.name);
  if (there && there->state == VolumeState::active)
    return fail(Errc::exists, fmt::format("the volume '{}' exists", op.name));
  Volume volume;
  volume.id = next_volume(context);
  if (volume.id.value > kVolumesMost)
    return fail(Errc::overloaded, fmt::format("this cluster has made all of its {} volumes", kVolumesMost));
  volume.name = op.name;
  volume.created = now;
  TRY(change_policy(volume.policy, op.policy));
  volume.root = volume_root_id(volume.id, attempt, context.shard_count());
  return Plan<Volume>{{MakeInode{Newborn{make_root(volume), {}, {}}}, MakeVolume{volume}},
                      [volume](const After&) { return volume; },
                      {}};
}

Result<Volume> apply_create_volume(ApplyContext& context, const CreateVolume& op) {
  for (u32 attempt = 0;; ++attempt) {
    TRY_ASSIGN(const Plan<Volume> plan, plan_create_volume(context, op, attempt, context.now()));
    // It was proposed because some attempt's root is in this shard.
    if (!all_local(context, plan.parts) || !validate(context, plan.parts.front())) continue;
    return run_plan(context, plan);
  }
}

Result<Plan<Volume>> plan_delete_volume(const ReadContext& context, const DeleteVolume& op, Time) {
  TRY(check_shard(context));
  std::optional<Volume> volume = find_volume(context, op.name);
  if (!volume) return no_such_volume(context, op.name);
  if (volume->id == kDefaultVolume)
    return fail(Errc::not_permitted, "the volume 'default' cannot be deleted; `rm -r` empties it");
  Plan<Volume> plan;
  if (volume->state == VolumeState::active) {
    if (!op.purge) plan.parts.push_back(RemoveDirInode{volume->root, std::nullopt});
    plan.parts.push_back(DropVolume{volume->id});
    volume->state = VolumeState::deleting;
  }
  plan.answer = [volume = *volume](const After&) { return volume; };
  return plan;
}

Result<Volume> apply_delete_volume(ApplyContext& context, const DeleteVolume& op) {
  TRY_ASSIGN(const Plan<Volume> plan, plan_delete_volume(context, op, context.now()));
  return run_plan(context, plan);
}

Result<Volume> apply_set_volume(ApplyContext& context, const SetVolume& op) {
  TRY(check_shard(context));
  std::optional<Volume> volume = find_volume(context, op.name);
  if (!volume || volume->state != VolumeState::active) return no_such_volume(context, op.name);
  TRY(change_policy(volume->policy, op.policy));
  ++volume->version;
  context.store(volume_key(volume->id), *volume);
  tell_shards(context, *volume);
  return *volume;
}

Result<Nothing> apply_tell_volume(ApplyContext& context, const TellVolume& op) {
  context.store(volume_here_key(op.volume), VolumeHere{op.deleted, op.trash_hours});
  if (op.deleted) context.put(volume_purge_key(op.volume), "");
  return Nothing{};
}

Result<PurgeVolumeReply> apply_purge_volume(ApplyContext& context, const PurgeVolume& op) {
  if (!context.get(volume_purge_key(op.volume))) return PurgeVolumeReply{false};
  std::size_t budget = kEntriesAtOnce;
  for (const InodeId id : op.inodes)
    if (!purge(context, id, op.volume, budget)) return PurgeVolumeReply{true};
  for (const PurgeVolume::Row& row : op.removed_directories) {
    const auto record = context.load<TrashRecord>(trash_key(row.removed, row.inode));
    if (record && record->directory && record->directory->volume == op.volume)
      context.remove(trash_key(row.removed, row.inode));
  }
  if (op.nothing_left) {
    context.remove(volume_purge_key(op.volume));
    context.emit(ShardId{0}, VolumeGone{op.volume, context.shard()});
  }
  return PurgeVolumeReply{false};
}

Result<Nothing> apply_volume_gone(ApplyContext& context, const VolumeGone& op) {
  std::optional<Volume> volume = context.load<Volume>(volume_key(op.volume));
  if (!volume) return Nothing{};
  std::erase(volume->holding, op.shard);
  if (volume->holding.empty())
    context.remove(volume_key(op.volume));
  else
    context.store(volume_key(op.volume), *volume);
  return Nothing{};
}

}  // namespace claudefs::meta
