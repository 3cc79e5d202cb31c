#include "meta/detail/permission.h"

#include <algorithm>

#include "base/mutant.h"
#include "meta/acl.h"
#include "meta/detail/keys.h"
#include "meta/detail/locks.h"
#include "meta/detail/namespace.h"

namespace claudefs::meta {

CFS_DEFINE_MUTANT(meta_permission_skips_sticky, "meta: the sticky bit protects nothing");
CFS_DEFINE_MUTANT(meta_permission_ignores_acl, "meta: permission is judged by mode bits alone");
CFS_DEFINE_MUTANT(meta_permission_first_groups_only, "meta: only the first 16 supplementary groups count");

namespace {

bool has_prefix(std::string_view name, std::string_view prefix) { return name.starts_with(prefix); }

bool mode_allows(const Inode& inode, const Caller& caller, Access want) {
  int shift = 0;
  if (caller.uid == inode.uid)
    shift = 6;
  else if (is_member(caller, inode.gid))
    shift = 3;
  return ((inode.mode >> shift) & want) == want;
}

bool allowed(const ReadContext& context, const Inode& inode, const Caller& caller, Access want) {
  if (is_root(caller)) {
    const bool runnable = inode.type == FileType::directory || (inode.mode & 0111) != 0;
    return (want & kMayExecute) == 0 || runnable;
  }
  if ((inode.flags & kHasAccessAcl) == 0 || CFS_MUTANT(meta_permission_ignores_acl))
    return mode_allows(inode, caller, want);
  const std::optional<std::string> stored = context.get(xattr_key(inode.id, kAccessAcl));
  if (!stored) return mode_allows(inode, caller, want);
  const Result<Acl> acl = Acl::parse(*stored);
  return acl && !acl->empty() && acl->allows(inode, caller, want);
}

std::unexpected<Error> for_root_only(std::string_view name) {
  return fail(Errc::not_permitted, fmt::format("{}: for root only", name));
}

// user.* is for what holds data: on a link or a device anybody could otherwise fill the disk.
bool may_have_user_xattrs(const Inode& inode) {
  return inode.type == FileType::regular || inode.type == FileType::directory;
}

}  // namespace

bool is_member(const Caller& caller, u32 group) {
  if (caller.gid == group) return true;
  auto end = caller.groups.end();
  if (CFS_MUTANT(meta_permission_first_groups_only) && caller.groups.size() > 16)
    end = caller.groups.begin() + 16;
  return std::find(caller.groups.begin(), end, group) != end;
}

Result<void> check_access(const ReadContext& context, const Inode& inode, const Caller& caller, Access want) {
  if (want == 0 || allowed(context, inode, caller, want)) return {};
  return fail(Errc::access_denied,
              fmt::format("user {} may not do this with inode {:#x}", caller.uid, inode.id.value));
}

Result<Inode> open_directory(const ReadContext& context, InodeId id, const Caller& caller, bool change) {
  TRY(check_free(context, inode_lock(id), false));  // it may be on its way
  TRY_ASSIGN(Inode directory, load_directory(context, id));
  TRY(check_access(context, directory, caller, change ? kMayWrite | kMayExecute : kMayExecute));
  return directory;
}

std::optional<u32> sticky_owner(const Inode& directory, const Caller& caller) {
  if ((directory.mode & 01000) == 0 || is_owner(caller, directory)) return std::nullopt;
  if (CFS_MUTANT(meta_permission_skips_sticky)) return std::nullopt;
  return caller.uid;
}

Result<void> check_owner(const Inode& inode, const std::optional<u32>& owner) {
  if (!owner || inode.uid == *owner) return {};
  return fail(Errc::not_permitted, "the directory is sticky, and neither it nor the entry is the caller's");
}

Result<void> check_xattr_read(const ReadContext& context, const Inode& inode, const Caller& caller,
                              std::string_view name) {
  if (has_prefix(name, "trusted.")) return is_root(caller) ? Result<void>() : fail(Errc::no_data);
  if (!has_prefix(name, "user.")) return {};
  if (!may_have_user_xattrs(inode)) return fail(Errc::no_data);
  return check_access(context, inode, caller, kMayRead);
}

Result<void> check_xattr_change(const ReadContext& context, const Inode& inode, const Caller& caller,
                                std::string_view name) {
  if (has_prefix(name, "trusted.") || has_prefix(name, "security."))
    return is_root(caller) ? Result<void>() : for_root_only(name);
  if (name == kAccessAcl || name == kDefaultAcl) {
    if (inode.type == FileType::symlink) return fail(Errc::unsupported, "links have no access control lists");
    if (!is_owner(caller, inode)) return fail(Errc::not_permitted, "only the owner changes access");
    return {};
  }
  if (!has_prefix(name, "user.")) return fail(Errc::unsupported, fmt::format("{}: an unknown class", name));
  if (!may_have_user_xattrs(inode)) return fail(Errc::not_permitted, "user.* is for files and directories");
  if (inode.type == FileType::directory && (inode.mode & 01000) != 0 && !is_owner(caller, inode))
    return fail(Errc::not_permitted, "the directory is sticky and another's");
  return check_access(context, inode, caller, kMayWrite);
}

// A kernel takes the capability away in the name of whoever writes or gives the file away.
Result<void> check_xattr_removal(const ReadContext& context, const Inode& inode, const Caller& caller,
                                 std::string_view name) {
  if (name != kCapability) return check_xattr_change(context, inode, caller, name);
  if (is_owner(caller, inode)) return {};
  return check_access(context, inode, caller, kMayWrite);
}

}  // namespace claudefs::meta
