#include "meta/detail/namespace.h"

#include "base/mutant.h"
#include "meta/detail/fragments.h"
#include "meta/detail/keys.h"
#include "meta/detail/locks.h"
#include "meta/detail/quota.h"
#include "meta/names.h"

namespace claudefs::meta {

CFS_DEFINE_MUTANT(meta_quota_moves_freely, "meta: files are moved out of a directory with a quota");

Result<Inode> load_inode(const ReadContext& context, InodeId id) {
  if (std::optional<Inode> inode = context.load<Inode>(inode_key(id))) return std::move(*inode);
  return fail(Errc::stale, fmt::format("inode {:#x} is gone", id));
}

Result<Inode> load_directory(const ReadContext& context, InodeId id) {
  TRY_ASSIGN(Inode inode, load_inode(context, id));
  if (inode.type != FileType::directory) return fail(Errc::not_directory);
  return inode;
}

void store_inode(ApplyContext& context, const Inode& inode) {
  const std::optional<Inode> before = context.load<Inode>(inode_key(inode.id));
  charge(context, inode.id, before ? charge_of(*before) : Charge(), charge_of(inode));
  context.store(inode_key(inode.id), inode);
}

void remove_inode(ApplyContext& context, const Inode& inode) {
  charge(context, inode.id, charge_of(inode), Charge());
  context.remove(inode_key(inode.id));
}

bool is_local(const ReadContext& context, InodeId id) { return id.shard() == context.shard(); }

Result<void> check_name(std::string_view name) {
  if (name.size() > kNameMax) return fail(Errc::name_too_long);
  if (name.empty() || name == "." || name == ".." || name.find('/') != name.npos ||
      name.find('\0') != name.npos)
    return fail(Errc::invalid_argument, "not a name that a directory can hold");
  return {};
}

Result<void> check_same_quota(InodeId of_one, InodeId of_other) {
  if (of_one == of_other || CFS_MUTANT(meta_quota_moves_freely)) return {};
  return fail(Errc::cross_device,
              "it would leave or enter a directory with a quota: copy it, then remove it");
}

std::optional<DentrySlot> find_dentry(const ReadContext& context, InodeId directory, std::string_view name,
                                      u64 first_cookie) {
  for (u64 slot = 0; slot < 256; ++slot) {
    std::optional<Dentry> dentry = context.load<Dentry>(dentry_key(directory, first_cookie + slot));
    if (!dentry) return std::nullopt;
    if (dentry->name == name) return DentrySlot{first_cookie + slot, std::move(*dentry)};
  }
  return std::nullopt;
}

std::optional<DentrySlot> find_dentry(const ReadContext& context, InodeId directory, std::string_view name) {
  return find_dentry(context, directory, name, cookie_of(name));
}

Result<std::optional<DentrySlot>> find_settled(const ReadContext& context, InodeId directory,
                                               std::string_view name) {
  if (name.size() > kNameMax) return fail(Errc::name_too_long);
  TRY(check_free(context, inode_lock(directory), false));
  TRY(check_free(context, dentry_lock(directory, name), true));
  TRY_ASSIGN(const Inode inode, load_directory(context, directory));
  if (name.empty()) return std::nullopt;
  TRY(check_holds(context, inode, name));
  return find_dentry(context, directory, name);
}

bool dentry_fits(const ReadContext& context, InodeId directory, std::string_view name) {
  const u64 last = cookie_of(name) + 255;
  const std::optional<Dentry> there = context.load<Dentry>(dentry_key(directory, last));
  return !there || there->name.empty();
}

void insert_dentry(ApplyContext& context, InodeId directory, const Dentry& dentry, u64 first_cookie) {
  for (u64 slot = 0; slot < 256; ++slot) {
    std::string key = dentry_key(directory, first_cookie + slot);
    const std::optional<Dentry> there = context.load<Dentry>(key);
    if (there && !there->name.empty()) continue;
    context.store(std::move(key), dentry);
    return;
  }
  CFS_CHECK(!"a directory entry does not fit");
}

void remove_dentry(ApplyContext& context, InodeId directory, u64 cookie) {
  if ((cookie & 0xff) != 0xff && context.get(dentry_key(directory, cookie + 1))) {
    context.store(dentry_key(directory, cookie), Dentry{});  // keeps the slots without a gap
    return;
  }
  context.remove(dentry_key(directory, cookie));
  for (u64 at = cookie; (at & 0xff) != 0; --at) {
    const std::optional<Dentry> before = context.load<Dentry>(dentry_key(directory, at - 1));
    if (!before || !before->name.empty()) return;
    context.remove(dentry_key(directory, at - 1));
  }
}

void change_usage(ApplyContext& context, UsageChange change) {
  if (change == UsageChange{}) return;
  ShardUsageReply usage = context.load<ShardUsageReply>(usage_key()).value_or(ShardUsageReply{});
  usage.inodes += static_cast<u64>(change.inodes);
  usage.logical_bytes += static_cast<u64>(change.logical_bytes);
  usage.inline_bytes += static_cast<u64>(change.inline_bytes);
  usage.trashed_inodes += static_cast<u64>(change.trashed_inodes);
  usage.trashed_bytes += static_cast<u64>(change.trashed_bytes);
  context.store(usage_key(), usage);
}

}  // namespace claudefs::meta
