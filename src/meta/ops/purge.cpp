// Unlinking a file leaves an orphan: whatever its size, it goes in bounded steps.
#include "base/mutant.h"
#include "meta/detail/extents.h"
#include "meta/detail/keys.h"
#include "meta/detail/locks.h"
#include "meta/detail/namespace.h"
#include "meta/detail/records.h"
#include "meta/ops/ops.h"

namespace claudefs::meta {

CFS_DEFINE_MUTANT(meta_purge_leaks_references, "meta: a removed file keeps its references to chunks");

Result<Nothing> apply_purge_inode(ApplyContext& context, const PurgeInode& op) {
  TRY(check_free(context, inode_lock(op.inode), true));  // it may be getting a name
  if (!context.get(orphan_key(op.inode))) return Nothing{};
  TRY_ASSIGN(const Inode inode, load_inode(context, op.inode));
  std::vector<std::string> gone{orphan_key(op.inode), inode_key(op.inode), inline_key(op.inode),
                                file_locks_key(op.inode)};
  const std::string xattrs = xattrs_key(op.inode);
  context.scan(xattrs, xattrs, [&](std::string_view key, std::string_view) {
    gone.emplace_back(key);
    return true;
  });
  for (std::string& key : gone) context.remove(std::move(key));
  const i64 size = inode.type == FileType::regular ? static_cast<i64>(inode.size) : 0;
  change_usage(context, {.inodes = -1, .logical_bytes = -size});
  if (inode.allocated_bytes != 0) context.put(purge_key(inode.id, inode.extent_generation), "");
  return Nothing{};
}

Result<PurgeReply> apply_purge_extents(ApplyContext& context, const PurgeExtents& op) {
  const std::string purges = key_of_table(Table::purge);
  std::string first;
  context.scan(purges, purges, [&](std::string_view key, std::string_view) {
    first = key;
    return false;
  });
  if (first.empty()) return PurgeReply{false};
  const std::string extents = extents_key(InodeId{number_in(first, 1)}, number_in(first, 9));
  std::vector<std::string> gone;
  std::map<codec::ChunkHash, ChunkDeltas::Delta> deltas;
  i64 inline_bytes = 0;
  context.scan(extents, extents, [&](std::string_view key, std::string_view value) {
    const Result<Extent> extent = wire::decode<Extent>(as_bytes(value));
    CFS_CHECK(extent.has_value());
    if (const auto* chunk = std::get_if<ChunkRef>(&extent->content))
      add_reference(deltas, *chunk, -1);
    else
      inline_bytes += static_cast<i64>(extent->length);
    gone.emplace_back(key);
    return gone.size() < op.extents_max;
  });
  if (gone.size() < op.extents_max) gone.push_back(first);
  for (std::string& key : gone) context.remove(std::move(key));
  if (!CFS_MUTANT(meta_purge_leaks_references)) emit_deltas(context, deltas);
  change_usage(context, {.inline_bytes = -inline_bytes});
  return PurgeReply{true};
}

}  // namespace claudefs::meta
