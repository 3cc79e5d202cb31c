#include "meta/detail/inherit.h"

#include "base/mutant.h"
#include "meta/acl.h"
#include "meta/detail/keys.h"
#include "meta/detail/namespace.h"
#include "meta/detail/permission.h"

namespace claudefs::meta {

CFS_DEFINE_MUTANT(meta_permission_keeps_group_of_maker,
                  "meta: a set-group-id directory does not hand on its group");

namespace {

constexpr u16 kSetGroup = 02000, kGroupExecute = 010;

void inherit_acl(const ReadContext& context, Newborn& newborn, const Inode& parent) {
  Inode& inode = newborn.inode;
  const std::optional<std::string> stored = context.get(xattr_key(parent.id, kDefaultAcl));
  Result<Acl> acl = Acl::parse(stored.value_or(""));
  if (!acl || acl->empty()) return;
  inode.mode = acl->narrow(inode.mode);
  if (!acl->is_minimal()) {
    newborn.access_acl = acl->format();
    inode.flags |= kHasAccessAcl;
  }
  if (inode.type != FileType::directory) return;
  newborn.default_acl = *stored;
  inode.flags |= kHasDefaultAcl;
}

}  // namespace

void inherit(const ReadContext& context, Newborn& newborn, const Inode& parent, const Caller& caller,
             u16 umask) {
  Inode& inode = newborn.inode;
  inode.uid = caller.uid;
  const bool of_parent = (parent.mode & kSetGroup) != 0 && !CFS_MUTANT(meta_permission_keeps_group_of_maker);
  inode.gid = of_parent ? parent.gid : caller.gid;
  inode.volume = parent.volume;
  inode.quota_directory = parent.quota_directory;
  if (of_parent && inode.type == FileType::directory) {
    inode.mode |= kSetGroup;
  } else if (of_parent && (inode.mode & (kSetGroup | kGroupExecute)) == (kSetGroup | kGroupExecute) &&
             !is_root(caller) && !is_member(caller, parent.gid)) {
    inode.mode &= static_cast<u16>(~kSetGroup);  // a program would run as a group that its maker is not in
  }
  if (inode.type == FileType::symlink) return;
  if ((parent.flags & kHasDefaultAcl) != 0)
    inherit_acl(context, newborn, parent);
  else
    inode.mode &= static_cast<u16>(~umask);
}

void store_newborn(ApplyContext& context, const Newborn& newborn) {
  store_inode(context, newborn.inode);
  if (!newborn.access_acl.empty()) context.put(xattr_key(newborn.inode.id, kAccessAcl), newborn.access_acl);
  if (!newborn.default_acl.empty())
    context.put(xattr_key(newborn.inode.id, kDefaultAcl), newborn.default_acl);
  change_usage(context, {.inodes = 1});
}

}  // namespace claudefs::meta
