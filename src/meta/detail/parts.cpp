#include "meta/detail/parts.h"

#include "base/log.h"
#include "base/mutant.h"
#include "base/probe.h"
#include "meta/detail/fragments.h"
#include "meta/detail/keys.h"
#include "meta/detail/locks.h"
#include "meta/detail/namespace.h"
#include "meta/detail/permission.h"
#include "meta/detail/records.h"
#include "meta/detail/trash.h"
#include "meta/detail/volumes.h"
#include "meta/names.h"

namespace claudefs::meta {

CFS_DEFINE_MUTANT(meta_rename_over_full_directory, "meta: a directory that is not empty can be removed");
CFS_DEFINE_MUTANT(meta_split_without_lock,
                  "meta: entries that are made while others move to another fragment are lost");
CFS_DEFINE_MUTANT(meta_restores_the_living, "meta: a file that is not in the trash can be restored");
namespace {

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};

using Validated = Result<std::optional<Inode>>;

std::unexpected<Error> moved_on() { return fail(Errc::busy, "it changed meanwhile"); }

Validated check(const ReadContext& context, const ChangeDentry& part) {
  TRY(check_name(part.name));
  TRY_ASSIGN(const Inode parent, load_directory(context, part.parent));
  TRY(check_holds(context, parent, part.name));
  const std::optional<DentrySlot> slot = find_dentry(context, part.parent, part.name);
  if (part.expected == InodeId{} && slot) return fail(Errc::exists);
  if (part.expected == InodeId{} && !dentry_fits(context, part.parent, part.name))
    return fail(Errc::no_space, "256 names of one hash are in this directory; choose another name");
  if (part.expected != InodeId{} && (!slot || slot->dentry.inode != part.expected)) return moved_on();
  const bool was_directory = slot && slot->dentry.type == FileType::directory;
  if (part.type == FileType::directory && !was_directory && parent.nlink >= kLinkMax)
    return fail(Errc::too_many_links);
  return std::nullopt;
}

bool is_linkable_orphan(const ReadContext& context, InodeId inode) {
  const std::optional<OrphanRecord> orphan = context.load<OrphanRecord>(orphan_key(inode));
  return orphan && orphan->linkable;
}

Validated check(const ReadContext& context, const AdjustLinks& part) {
  TRY_ASSIGN(Inode inode, load_inode(context, part.inode));
  if (part.nlink_expected && *part.nlink_expected != inode.nlink) return moved_on();
  TRY(check_owner(inode, part.owner));
  if (part.delta != 0 && inode.type == FileType::directory) return fail(Errc::not_permitted);
  // Only what never had a name (O_TMPFILE) may get one again.
  if (part.delta > 0 && inode.nlink == 0 && !is_linkable_orphan(context, part.inode))
    return fail(Errc::not_found);
  const i64 nlink = static_cast<i64>(inode.nlink) + part.delta;
  if (part.delta > 0 && nlink > kLinkMax) return fail(Errc::too_many_links);
  if (nlink < 0) return moved_on();
  inode.nlink = static_cast<u32>(nlink);
  inode.changed = std::max(inode.changed, part.at);
  return inode;
}

Validated check(const ReadContext& context, const MakeInode& part) {
  if (context.get(inode_key(part.born.inode.id))) return fail(Errc::exists);
  return part.born.inode;
}

Validated check(const ReadContext& context, const RemoveDirInode& part) {
  TRY_ASSIGN(Inode inode, load_directory(context, part.inode));
  TRY(check_owner(inode, part.owner));
  // The procedure that asked for this makes it whole, and plans again.
  if (is_split(inode)) return fail(Errc::cross_device, "the directory is split");
  if (inode.size != 0 && !CFS_MUTANT(meta_rename_over_full_directory)) return fail(Errc::not_empty);
  inode.nlink = 0;
  return inode;
}

Validated check(const ReadContext& context, const SetParent& part) {
  TRY_ASSIGN(Inode inode, load_directory(context, part.inode));
  TRY(check_owner(inode, part.owner));
  TRY(check_access(context, inode, part.caller, kMayWrite));
  return inode;
}

Validated check(const ReadContext&, const HoldRenameLock&) { return std::nullopt; }

Validated check(const ReadContext& context, const KeepInTrash& part) {
  TRY(load_inode(context, part.inode));
  return std::nullopt;
}

Validated check(const ReadContext& context, const TakeFromTrash& part) {
  Result<Inode> inode = load_inode(context, part.inode);
  const bool there = inode && context.get(trashed_key(part.inode));
  if (!there && !(inode && CFS_MUTANT(meta_restores_the_living)))
    return fail(Errc::not_found, "it is not in the trash any more");
  if (!is_owner(part.caller, *inode))
    return fail(Errc::not_permitted, "only its owner and root take a file out of the trash");
  inode->nlink = 1;
  inode->quota_directory = part.quota_directory;
  inode->changed = std::max(inode->changed, part.at);
  return *inode;
}

Validated check(const ReadContext& context, const MakeVolume& part) {
  const std::optional<Volume> there = find_volume(context, part.volume.name);
  if (there && there->state == VolumeState::active) return fail(Errc::exists);
  if (part.volume.id != next_volume(context)) return moved_on();
  return std::nullopt;
}

Validated check(const ReadContext& context, const DropVolume& part) {
  const std::optional<Volume> volume = load_volume(context, part.volume);
  if (!volume || volume->state != VolumeState::active) return moved_on();
  return std::nullopt;
}

void act(ApplyContext& context, const ChangeDentry& part) {
  Inode parent = *load_directory(context, part.parent);
  const std::optional<DentrySlot> slot = find_dentry(context, part.parent, part.name);
  if (slot && slot->dentry.type == FileType::directory) --parent.nlink;
  if (part.inode != InodeId{} && part.type == FileType::directory) ++parent.nlink;
  const Dentry dentry{part.name, part.inode, part.type};
  if (part.inode == InodeId{}) {
    remove_dentry(context, part.parent, slot->cookie);
    --parent.size;
  } else if (slot) {
    context.store(dentry_key(part.parent, slot->cookie), dentry);
  } else {
    insert_dentry(context, part.parent, dentry, cookie_of(part.name));
    ++parent.size;
  }
  parent.modified = parent.changed = std::max(parent.changed, context.now());
  store_inode(context, parent);
}

void act(ApplyContext& context, const AdjustLinks& part) {
  const Inode inode = **check(context, part);
  store_inode(context, inode);
  if (part.delta > 0 && inode.nlink == 1) context.remove(orphan_key(inode.id));
  if (part.delta < 0 && inode.nlink == 0)
    context.store(orphan_key(inode.id), OrphanRecord{context.hlc(), part.held_open_by != SessionId{}});
}

void act(ApplyContext& context, const MakeInode& part) { store_newborn(context, part.born); }

void act(ApplyContext& context, const RemoveDirInode& part) {
  remove_inode(context, *load_directory(context, part.inode));
  std::vector<std::string> gone;
  const std::string xattrs = xattrs_key(part.inode);
  context.scan(xattrs, xattrs, [&](std::string_view key, std::string_view) {
    gone.emplace_back(key);
    return true;
  });
  // Nameless entries keep collision slots in an otherwise empty directory.
  const std::string dentries = dentries_key(part.inode);
  context.scan(dentries, dentries, [&](std::string_view key, std::string_view) {
    gone.emplace_back(key);
    return true;
  });
  for (std::string& key : gone) context.remove(std::move(key));
  change_usage(context, {.inodes = -1});
}

void act(ApplyContext& context, const SetParent& part) {
  Inode inode = *load_directory(context, part.inode);
  inode.parent = part.parent;
  inode.changed = std::max(inode.changed, part.at);
  store_inode(context, inode);
}

void act(ApplyContext&, const HoldRenameLock&) {}

void act(ApplyContext& context, const KeepInTrash& part) { put_in_trash(context, part); }

void act(ApplyContext& context, const TakeFromTrash& part) {
  const Inode inode = **check(context, part);
  CFS_PROBE(meta_file_left_the_trash, "a file leaves the trash");
  leave_trash(context, part.inode);
  store_inode(context, inode);
}

void act(ApplyContext& context, const MakeVolume& part) {
  CFS_PROBE(meta_volume_made, "a volume is made");
  (void)context.next("volume");
  context.store(volume_key(part.volume.id), part.volume);
  if (part.volume.policy.trash_hours != kTrashOfCluster) tell_shards(context, part.volume);
}

void act(ApplyContext& context, const DropVolume& part) {
  CFS_PROBE(meta_volume_dropped, "a volume is deleted");
  Volume volume = *load_volume(context, part.volume);
  volume.state = VolumeState::deleting;
  for (u16 shard = 0; shard < context.shard_count(); ++shard) volume.holding.push_back(ShardId{shard});
  context.store(volume_key(volume.id), volume);
  tell_shards(context, volume);
}

}  // namespace

std::vector<LockNeed> locks_of(const Part& part) {
  return std::visit(
      Overloaded{
          // The parent must stay, but other entries of it may change.
          [](const ChangeDentry& p) {
            return std::vector<LockNeed>{{dentry_lock(p.parent, p.name), true},
                                         {inode_lock(p.parent), false}};
          },
          [](const AdjustLinks& p) { return std::vector<LockNeed>{{inode_lock(p.inode), true}}; },
          [](const MakeInode& p) { return std::vector<LockNeed>{{inode_lock(p.born.inode.id), true}}; },
          [](const RemoveDirInode& p) { return std::vector<LockNeed>{{inode_lock(p.inode), true}}; },
          [](const SetParent& p) { return std::vector<LockNeed>{{inode_lock(p.inode), true}}; },
          [](const HoldRenameLock&) { return std::vector<LockNeed>{{rename_lock(), true}}; },
          [](const KeepInTrash& p) { return std::vector<LockNeed>{{inode_lock(p.inode), true}}; },
          [](const TakeFromTrash& p) { return std::vector<LockNeed>{{inode_lock(p.inode), true}}; },
          [](const MakeVolume&) { return std::vector<LockNeed>{}; },
          [](const DropVolume&) { return std::vector<LockNeed>{}; },
          [](const CutEntries& p) {
            if (CFS_MUTANT(meta_split_without_lock)) return std::vector<LockNeed>{};
            return std::vector<LockNeed>{{inode_lock(p.from), true}};
          },
          [](const MakeFragment& p) { return std::vector<LockNeed>{{inode_lock(p.born.inode.id), true}}; },
          [](const TakeEntries& p) { return std::vector<LockNeed>{{inode_lock(p.into), true}}; },
          [](const SetFragments& p) { return std::vector<LockNeed>{{inode_lock(p.directory), true}}; },
          [](const SetDirectory& p) { return std::vector<LockNeed>{{inode_lock(p.to.inode.id), true}}; },
      },
      part);
}

ShardId shard_of(const Part& part) {
  return std::visit(Overloaded{
                        [](const ChangeDentry& p) { return p.parent.shard(); },
                        [](const AdjustLinks& p) { return p.inode.shard(); },
                        [](const MakeInode& p) { return p.born.inode.id.shard(); },
                        [](const RemoveDirInode& p) { return p.inode.shard(); },
                        [](const SetParent& p) { return p.inode.shard(); },
                        [](const HoldRenameLock&) { return ShardId{0}; },
                        [](const KeepInTrash& p) { return p.inode.shard(); },
                        [](const TakeFromTrash& p) { return p.inode.shard(); },
                        [](const MakeVolume&) { return ShardId{0}; },
                        [](const DropVolume&) { return ShardId{0}; },
                        [](const CutEntries& p) { return p.from.shard(); },
                        [](const MakeFragment& p) { return p.born.inode.id.shard(); },
                        [](const TakeEntries& p) { return p.into.shard(); },
                        [](const SetFragments& p) { return p.directory.shard(); },
                        [](const SetDirectory& p) { return p.to.inode.id.shard(); },
                    },
                    part);
}

bool is_of_fragment(const Part& part) {
  if (const auto* set = std::get_if<SetDirectory>(&part)) return !set->if_changed;
  return std::holds_alternative<CutEntries>(part);
}

Result<std::optional<Inode>> validate(const ReadContext& context, const Part& part) {
  return std::visit([&](const auto& p) { return check(context, p); }, part);
}

void perform(ApplyContext& context, const Part& part) {
  // Locks keep it valid between prepare and commit; if they ever did not, one part is lost and not the
  // replicas.
  if (const auto good = validate(context, part); !good) {
    log::error("meta", "a prepared part cannot be performed; check the namespace",
               {log::kv("shard", context.shard()), log::kv("error", good.error().to_string())});
    return;
  }
  std::visit([&](const auto& p) { act(context, p); }, part);
}

Result<After> run_parts(ApplyContext& context, const std::vector<Part>& parts) {
  After after;
  for (const Part& part : parts) {
    for (const LockNeed& need : locks_of(part)) TRY(check_free(context, need.object, need.exclusive));
    TRY_ASSIGN(std::optional<Inode> inode, validate(context, part));
    perform(context, part);
    if (inode) after[inode->id] = std::move(*inode);
  }
  return after;
}

bool all_local(const ReadContext& context, const std::vector<Part>& parts) {
  return std::all_of(parts.begin(), parts.end(),
                     [&](const Part& p) { return shard_of(p) == context.shard(); });
}

}  // namespace claudefs::meta
