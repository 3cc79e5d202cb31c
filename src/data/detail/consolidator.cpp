#include "data/detail/consolidator.h"

#include <algorithm>

#include "base/log.h"
#include "meta/commands.h"
#include "meta/hlc.h"

namespace claudefs::data {

using namespace std::chrono_literals;
using runtime::Task;

constexpr runtime::Duration kRound = 2s;
constexpr u64 kIdleMilliseconds = 5000;
constexpr runtime::Duration kSkipTime = 60s;
constexpr u32 kInodesAtOnce = 256;
constexpr u64 kBytesAtOnce = 8_MiB;

Task<void> Consolidator::run(ShardId shard) {
  Skips skips;
  while (!background_.stopping) {
    co_await background_.env.executor().sleep(kRound);
    const auto permit = co_await permits_.acquire();
    // As long as there is a full load; another shard's turn in between.
    const Result<std::size_t> moved = co_await round(shard, skips).result();
    if (!moved)
      log::debug("data", "inline content stays for now",
                 {log::kv("shard", shard), log::kv("error", moved.error().to_string())});
    std::erase_if(skips, [this](const auto& item) { return item.second < background_.env.now(); });
  }
}

Task<Result<std::size_t>> Consolidator::round(ShardId shard, Skips& skips) {
  meta::ListInline list;
  list.idle_before = meta::hlc_before(background_.wall(), kIdleMilliseconds);
  list.inodes_max = kInodesAtOnce + static_cast<u32>(skips.size());
  const meta::ListInlineReply idle = co_await background_.router.call(shard, list);
  std::vector<Rewrite> rewrites;
  u64 bytes = 0;
  std::size_t moved = 0;
  for (const InodeId inode : idle.inodes) {
    if (skips.contains(inode)) continue;
    // Whatever comes of it: not again at once.
    skips[inode] = background_.env.now() + kSkipTime;
    const Result<void> collected = co_await collect(inode, rewrites, bytes).result();
    if (!collected)
      log::debug("data", "a file's inline content cannot be moved now",
                 {log::kv("inode", inode), log::kv("error", collected.error().to_string())});
    if (bytes < kBytesAtOnce) continue;
    moved += rewrites.size();
    co_await move(std::exchange(rewrites, {}), skips);
    bytes = 0;
  }
  moved += rewrites.size();
  if (!rewrites.empty()) co_await move(std::move(rewrites), skips);
  co_return moved;
}

// `rewrites` and `bytes` belong to the awaiting round().
Task<Result<void>> Consolidator::collect(InodeId inode, std::vector<Rewrite>& rewrites, u64& bytes) {
  meta::GetExtents ask;
  ask.inode = inode;
  ask.length = meta::kFileSizeMax;
  Rewrite rewrite;
  rewrite.inode = inode;
  for (bool more = true; more && bytes < kBytesAtOnce;) {
    const meta::GetExtentsReply page = co_await background_.router.call(inode.shard(), ask);
    if (ask.offset != 0 && page.inode.data_version != rewrite.data_version)
      co_return fail(Errc::conflict, "written meanwhile");
    rewrite.data_version = page.inode.data_version;
    for (const Run& run : plan_runs(page.extents)) {
      const std::vector<meta::Extent> extents(page.extents.begin() + static_cast<std::ptrdiff_t>(run.first),
                                              page.extents.begin() + static_cast<std::ptrdiff_t>(run.end));
      const Buffer content = co_await read_run(extents);
      for (u64 at = 0; at < content.size(); at += kJoinedMax) {
        const u64 length = std::min<u64>(kJoinedMax, content.size() - at);
        rewrite.pieces.push_back({extents.front().offset + at, content.slice(at, length)});
      }
      bytes += content.size();
    }
    more = page.truncated && !page.extents.empty();
    if (more) ask.offset = page.extents.back().offset + page.extents.back().length;
  }
  if (!rewrite.pieces.empty()) rewrites.push_back(std::move(rewrite));
  co_return Result<void>();
}

Task<Result<Buffer>> Consolidator::read_run(std::vector<meta::Extent> extents) {
  u64 length = 0;
  for (const meta::Extent& extent : extents) length += extent.length;
  Buffer content = Buffer::allocate(length);
  u64 at = 0;
  for (const meta::Extent& extent : extents) {
    Buffer bytes;
    if (const auto* held = std::get_if<meta::InlineData>(&extent.content)) {
      bytes = held->bytes;
    } else {
      const meta::ChunkRef& ref = std::get<meta::ChunkRef>(extent.content);
      ChunkIo* io = co_await chunks_.io();
      const Buffer plain = co_await io->read(ref);
      if (plain.size() < u64{ref.offset_in_chunk} + extent.length)
        co_return fail(Errc::corrupt, "an extent reaches past the end of its chunk");
      bytes = plain.slice(ref.offset_in_chunk, extent.length);
    }
    if (bytes.size() != extent.length) co_return fail(Errc::corrupt, "an inline extent has another length");
    std::memcpy(content.data() + at, bytes.data(), bytes.size());
    at += bytes.size();
  }
  co_return content;
}

// `skips` belongs to the awaiting run().
Task<Result<void>> Consolidator::move(std::vector<Rewrite> rewrites, Skips& skips) {
  std::vector<Buffer> plain;
  for (const Rewrite& rewrite : rewrites)
    for (const Rewrite::Piece& piece : rewrite.pieces) plain.push_back(piece.bytes);
  ChunkIo* io = co_await chunks_.io();
  const StoredChunks stored = co_await io->store(std::move(plain));
  auto chunk = stored.chunks.begin();
  meta::RewriteContents all;
  for (const Rewrite& rewrite : rewrites) {
    meta::CommitWrite op;
    op.inode = rewrite.inode;
    for (const Rewrite::Piece& piece : rewrite.pieces)
      op.extents.push_back({piece.offset, piece.bytes.size(), (chunk++)->ref});
    op.if_data_version = rewrite.data_version;
    op.keep_data_version = true;
    op.valid_until = stored.valid_until;
    all.rewrites.push_back(std::move(op));
  }
  const ShardId shard = rewrites.front().inode.shard();
  const meta::RewriteContents::Reply reply = co_await background_.router.call(shard, std::move(all));
  for (const InodeId inode : reply.done) skips.erase(inode);
  co_return Result<void>();
}

}  // namespace claudefs::data
