#include "base/mutant.h"
#include "meta/detail/extents.h"
#include "meta/detail/locks.h"
#include "meta/detail/namespace.h"
#include "meta/ops/ops.h"

namespace claudefs::meta {

CFS_DEFINE_MUTANT(meta_appends_where_told, "meta: an append goes where the client believes the end to be");
CFS_DEFINE_MUTANT(meta_rewrite_ignores_version,
                  "meta: background rewriting overwrites what was written meanwhile");

namespace {

Result<void> check(const ApplyContext& context, const CommitWrite& op, const Inode& inode) {
  if (inode.type != FileType::regular) return fail(Errc::invalid_argument, "only regular files have content");
  if (op.if_data_version && *op.if_data_version != inode.data_version &&
      !CFS_MUTANT(meta_rewrite_ignores_version))
    return fail(Errc::conflict, "the file was written meanwhile");
  if (op.valid_until != Hlc{} && context.hlc() > op.valid_until)
    return fail(Errc::conflict, "the promise that its chunks stay has run out; write again");
  if (op.size_at_least && *op.size_at_least > kFileSizeMax) return fail(Errc::file_too_big);
  for (const Extent& extent : op.extents) TRY(check_extent(extent));
  for (const SetAttributes& change : op.then)
    if (change.size) return fail(Errc::invalid_argument, "a change of size is no part of a write");
  for (const CommitWrite::Range& range : op.punch) {
    if (range.length > kFileSizeMax || range.offset > kFileSizeMax - range.length)
      return fail(Errc::file_too_big);
  }
  return {};
}

// Who appends knows the end of the file as it was; here is where it is.
CommitWrite at_the_end(const CommitWrite& asked, u64 end) {
  CommitWrite op = asked;
  const u64 from = *asked.appended_from;
  // What the same writer has put before it counts.
  for (const Extent& extent : asked.extents)
    if (extent.offset < from) end = std::max(end, extent.offset + extent.length);
  if (end == from) return op;
  const auto moved = [&](u64 offset) { return offset < from ? offset : offset - from + end; };
  if (CFS_MUTANT(meta_appends_where_told)) return op;
  for (Extent& extent : op.extents) extent.offset = moved(extent.offset);
  if (op.size_at_least) op.size_at_least = moved(*op.size_at_least);
  return op;
}

}  // namespace

Result<InodeReply> apply_commit_write(ApplyContext& context, const CommitWrite& asked) {
  TRY(check_free(context, inode_lock(asked.inode), false));
  TRY_ASSIGN(Inode inode, load_inode(context, asked.inode));
  const CommitWrite op = asked.appended_from ? at_the_end(asked, inode.size) : asked;
  TRY(check(context, op, inode));

  u64 size = std::max(inode.size, op.size_at_least.value_or(0));
  ContentEdit edit(context, inode);
  for (const CommitWrite::Range& range : op.punch)
    if (range.length != 0) edit.cut(range.offset, range.offset + range.length);
  for (const Extent& extent : op.extents) {
    edit.cut(extent.offset, extent.offset + extent.length);
    edit.add(extent);
    size = std::max(size, extent.offset + extent.length);
  }
  edit.finish(!op.keep_data_version);

  change_usage(context, {.logical_bytes = static_cast<i64>(size - inode.size)});
  inode.size = size;
  if (!op.keep_data_version) ++inode.data_version;
  if (op.modified) {
    inode.modified = *op.modified;
    inode.changed = std::max(inode.changed, context.now());
  }
  store_inode(context, inode);
  InodeReply reply{std::move(inode)};
  for (SetAttributes change : op.then) {
    change.inode = op.inode;
    TRY_ASSIGN(reply, apply_set_attributes(context, change));
  }
  return reply;
}

Result<RewriteContents::Reply> apply_rewrite_contents(ApplyContext& context, const RewriteContents& op) {
  for (const CommitWrite& rewrite : op.rewrites)
    if (!rewrite.keep_data_version || !rewrite.then.empty())
      return fail(Errc::invalid_argument, "only a rewrite of the same bytes can be one of many");
  RewriteContents::Reply reply;
  // Refused before anything is changed, or done.
  for (const CommitWrite& rewrite : op.rewrites)
    if (apply_commit_write(context, rewrite)) reply.done.push_back(rewrite.inode);
  return reply;
}

}  // namespace claudefs::meta
