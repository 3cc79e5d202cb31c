#include "meta/detail/trash.h"

#include "base/mutant.h"
#include "meta/detail/keys.h"
#include "meta/detail/namespace.h"
#include "meta/detail/records.h"

namespace claudefs::meta {

CFS_DEFINE_MUTANT(meta_trash_is_purged, "meta: what goes to the trash is purged like what does not");

namespace {

constexpr std::size_t kXattrBytesKept = 256 << 10;  // of a directory: a row has to fit into an answer

std::vector<Xattr> xattrs_of(const ReadContext& context, InodeId inode) {
  std::vector<Xattr> out;
  std::size_t bytes = 0;
  const std::string prefix = xattrs_key(inode);
  context.scan(prefix, prefix, [&](std::string_view key, std::string_view value) {
    bytes += key.size() + value.size();
    if (bytes <= kXattrBytesKept)
      out.push_back({std::string(key.substr(prefix.size())), Buffer::copy_of(value)});
    return true;
  });
  return out;
}

}  // namespace

void put_in_trash(ApplyContext& context, const KeepInTrash& part) {
  const Inode inode = *load_inode(context, part.inode);
  TrashRecord record{part.parent, part.name, 0, std::nullopt, {}};
  if (inode.type == FileType::directory) {
    record.directory = inode;
    record.xattrs = xattrs_of(context, inode.id);
    context.store(trash_key(context.hlc(), inode.id), record);
    return;
  }
  if (inode.nlink != 0) return;
  record.bytes = inode.allocated_bytes;
  context.store(trash_key(context.hlc(), inode.id), record);
  context.store(trashed_key(inode.id), HlcRecord{context.hlc()});
  if (!CFS_MUTANT(meta_trash_is_purged)) context.remove(orphan_key(inode.id));
  change_usage(context, {.trashed_inodes = 1, .trashed_bytes = static_cast<i64>(record.bytes)});
}

void leave_trash(ApplyContext& context, InodeId file) {
  const std::optional<HlcRecord> since = context.load<HlcRecord>(trashed_key(file));
  if (!since) return;
  const std::optional<TrashRecord> record = context.load<TrashRecord>(trash_key(since->hlc, file));
  CFS_CHECK(record.has_value());
  context.remove(trash_key(since->hlc, file));
  context.remove(trashed_key(file));
  change_usage(context, {.trashed_inodes = -1, .trashed_bytes = -static_cast<i64>(record->bytes)});
}

}  // namespace claudefs::meta
