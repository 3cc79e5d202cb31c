#include "meta/detail/keys.h"
#include "meta/detail/namespace.h"
#include "meta/ops/ops.h"

namespace claudefs::meta {

Result<Nothing> apply_format(ApplyContext& context, const Format&) {
  if (context.shard() != kRootInode.shard() || context.get(inode_key(kRootInode))) return Nothing{};
  Inode root;
  root.id = kRootInode;
  root.type = FileType::directory;
  root.mode = 0755;
  root.nlink = 2;
  root.volume = kDefaultVolume;
  root.accessed = root.modified = root.changed = root.born = context.now();
  store_inode(context, root);
  change_usage(context, {.inodes = 1});
  return Nothing{};
}

}  // namespace claudefs::meta
