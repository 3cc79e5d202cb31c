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

namespace {

Result<void> purge_inode(ApplyContext& context, InodeId id) {
  if (!check_free(context, inode_lock(id), true)) return {};  // it may be getting a name
  if (!context.get(orphan_key(id))) return {};
  TRY_ASSIGN(const Inode inode, load_inode(context, id));
  forget_inode(context, inode);
  return {};
}

struct Purge {
  std::map<codec::ChunkHash, ChunkDeltas::Delta> deltas;
  i64 inline_bytes = 0;
  std::size_t extents = 0;
};

// True: all extents of this entry of the purge list are gone, and the entry is too.
bool purge_extents(ApplyContext& context, std::string entry, std::size_t extents_max, Purge& purge) {
  const std::string extents = extents_key(InodeId{number_in(entry, 1)}, number_in(entry, 9));
  std::vector<std::string> gone;
  context.scan(extents, extents, [&](std::string_view key, std::string_view value) {
    if (purge.extents + gone.size() >= extents_max) return false;
    const Result<Extent> extent = wire::decode<Extent>(as_bytes(value));
    CFS_CHECK(extent.has_value());
    if (const auto* chunk = std::get_if<ChunkRef>(&extent->content))
      add_reference(purge.deltas, *chunk, -1);
    else
      purge.inline_bytes += static_cast<i64>(extent->length);
    gone.emplace_back(key);
    return true;
  });
  purge.extents += gone.size();
  const bool whole = purge.extents < extents_max;
  if (whole) gone.push_back(std::move(entry));
  for (std::string& key : gone) context.remove(std::move(key));
  return whole;
}

}  // namespace

void forget_inode(ApplyContext& context, const Inode& inode) {
  const InodeId id = inode.id;
  remove_inode(context, inode);
  std::vector<std::string> gone{orphan_key(id), inline_key(id), file_locks_key(id), fragments_key(id)};
  const std::string xattrs = xattrs_key(id);
  context.scan(xattrs, xattrs, [&](std::string_view key, std::string_view) {
    gone.emplace_back(key);
    return true;
  });
  for (std::string& key : gone) context.remove(std::move(key));
  const i64 size = inode.type == FileType::regular ? static_cast<i64>(inode.size) : 0;
  change_usage(context, {.inodes = is_fragment(inode) ? 0 : -1, .logical_bytes = -size});
  if (inode.allocated_bytes != 0) context.put(purge_key(id, inode.extent_generation), "");
}

Result<Nothing> apply_purge_inodes(ApplyContext& context, const PurgeInodes& op) {
  for (const InodeId id : op.inodes) TRY(purge_inode(context, id));
  return Nothing{};
}

Result<PurgeReply> apply_purge_extents(ApplyContext& context, const PurgeExtents& op) {
  const std::string purges = key_of_table(Table::purge);
  std::vector<std::string> entries;
  context.scan(purges, purges, [&](std::string_view key, std::string_view) {
    entries.emplace_back(key);
    return entries.size() < op.extents_max;
  });
  if (entries.empty()) return PurgeReply{false};
  Purge purge;
  for (std::string& entry : entries)
    if (!purge_extents(context, std::move(entry), op.extents_max, purge)) break;
  if (!CFS_MUTANT(meta_purge_leaks_references)) emit_deltas(context, purge.deltas);
  change_usage(context, {.inline_bytes = -purge.inline_bytes});
  return PurgeReply{true};
}

}  // namespace claudefs::meta
