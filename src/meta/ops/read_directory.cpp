#include "meta/detail/fragments.h"
#include "meta/detail/keys.h"
#include "meta/detail/locks.h"
#include "meta/detail/namespace.h"
#include "meta/detail/permission.h"
#include "meta/ops/ops.h"

namespace claudefs::meta {
namespace {

constexpr u32 kEntriesMax = 4096;  // keeps an answer within a frame

}  // namespace

Result<ReadDirectoryReply> read_directory(const ReadContext& context, const ReadDirectory& op) {
  TRY(check_free(context, inode_lock(op.directory), true));
  TRY_ASSIGN(const Inode directory, load_directory(context, op.directory));
  if (op.opener) TRY(check_access(context, directory, *op.opener, kMayRead));
  TRY(check_holds(context, directory, op.after_cookie + 1));
  ReadDirectoryReply reply;
  if (!is_fragment(directory)) reply.parent = directory.parent == InodeId{} ? directory.id : directory.parent;
  if (const auto range = load_fragments(context, op.directory)) reply.range_end = range->end;
  reply.end = true;
  const u32 most = std::clamp<u32>(op.entries_max, 1, kEntriesMax);
  const std::string prefix = dentries_key(op.directory);
  context.scan(prefix, dentry_key(op.directory, op.after_cookie + 1),
               [&](std::string_view key, std::string_view value) {
                 Result<Dentry> dentry = wire::decode<Dentry>(as_bytes(value));
                 CFS_CHECK(dentry.has_value());
                 if (dentry->name.empty()) return true;
                 if (reply.entries.size() == most) {
                   reply.end = false;
                   return false;
                 }
                 reply.entries.push_back({std::move(*dentry), number_in(key, prefix.size()), std::nullopt});
                 return true;
               });
  if (!reply.end) reply.range_end = 0;
  if (!op.with_inodes) return reply;
  for (auto& entry : reply.entries) {
    // One that a transaction is changing is left for GetAttributes, which waits.
    if (!is_local(context, entry.dentry.inode) || !check_free(context, inode_lock(entry.dentry.inode), true))
      continue;
    entry.inode = context.load<Inode>(inode_key(entry.dentry.inode));
  }
  return reply;
}

}  // namespace claudefs::meta
