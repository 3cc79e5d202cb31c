// Inodes and directory entries of a shard.
#pragma once

#include <optional>
#include <string_view>

#include "meta/operations.h"
#include "meta/shard_machine.h"

namespace claudefs::meta {

Result<Inode> load_inode(const ReadContext& context, InodeId id);      // stale
Result<Inode> load_directory(const ReadContext& context, InodeId id);  // stale, not_directory
// Every inode comes, changes and goes through these two: they keep what is charged for it (detail/quota.h).
void store_inode(ApplyContext& context, const Inode& inode);
void remove_inode(ApplyContext& context, const Inode& inode);
bool is_local(const ReadContext& context, InodeId id);

// Errors: invalid_argument (empty, ".", "..", with '/' or NUL), name_too_long.
Result<void> check_name(std::string_view name);

// What is in one directory is charged as what is in the other. Errors: cross_device.
Result<void> check_same_quota(InodeId of_one, InodeId of_other);

struct DentrySlot {
  u64 cookie = 0;
  Dentry dentry;
};
// `first_cookie`: cookie_of(name); a parameter so that collisions can be tested.
std::optional<DentrySlot> find_dentry(const ReadContext& context, InodeId directory, std::string_view name,
                                      u64 first_cookie);
std::optional<DentrySlot> find_dentry(const ReadContext& context, InodeId directory, std::string_view name);
// The entry as no undelivered transaction can change it. Errors: busy, stale, not_directory, name_too_long,
// moved.
Result<std::optional<DentrySlot>> find_settled(const ReadContext& context, InodeId directory,
                                               std::string_view name);
// False when 256 names of its hash are there.
bool dentry_fits(const ReadContext& context, InodeId directory, std::string_view name);
// The name must not be there, and fit.
void insert_dentry(ApplyContext& context, InodeId directory, const Dentry& dentry, u64 first_cookie);
void remove_dentry(ApplyContext& context, InodeId directory, u64 cookie);

// Exact sums over the shard.
struct UsageChange {
  i64 inodes = 0;
  i64 logical_bytes = 0;
  i64 inline_bytes = 0;
  i64 trashed_inodes = 0;
  i64 trashed_bytes = 0;
  bool operator==(const UsageChange&) const = default;
};
void change_usage(ApplyContext& context, UsageChange change);

}  // namespace claudefs::meta
