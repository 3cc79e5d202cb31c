#include <algorithm>

#include "base/probe.h"
#include "client/detail/state.h"

namespace claudefs::client {
namespace {
constexpr u64 kExtentWindow = 64_MiB;
constexpr std::size_t kExtentsCachedMax = 65536;  // of one file
constexpr int kAttempts = 64;
constexpr u64 kReadAheadFirst = 1_MiB;
constexpr u64 kLargeRead = 64_KiB;
constexpr u64 kReordered = 2_MiB;
}  // namespace

Task<Result<void>> State::load_extents(FilePtr file, u64 offset, u64 end) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const std::optional<u64> unknown = file->extents.first_unknown(offset, end);
    if (!unknown) co_return Result<void>();
    meta::GetExtents get;
    get.inode = file->id();
    get.offset = *unknown;
    get.length = std::max(end - *unknown, kExtentWindow);
    const u64 asked_until = get.offset + get.length;
    meta::GetExtentsReply reply = co_await ask(file->id().shard(), std::move(get));
    note(*file, reply.inode);
    // A commit of ours overtook this answer: it speaks of content that is no more.
    if (reply.inode.data_version != file->extents.version()) {
      CFS_PROBE(client_extents_overtaken, "a commit overtakes the answer to a question for extents");
      continue;
    }
    if (file->extents.size() > kExtentsCachedMax) file->extents.reset(file->extents.version());
    u64 known_until = asked_until;
    if (reply.truncated && !reply.extents.empty())
      known_until = reply.extents.back().offset + reply.extents.back().length;
    file->extents.learn(*unknown, known_until, std::move(reply.extents));
  }
  co_return fail(Errc::busy, "the file changes faster than its extents can be read");
}

Task<Result<Buffer>> State::read_chunk(meta::ChunkRef ref) {
  auto at = chunk_reads.find(ref.hash);
  if (at == chunk_reads.end()) {
    auto started = std::make_shared<ChunkRead>(env.executor());
    at = chunk_reads.emplace(ref.hash, started).first;
    std::shared_ptr<ChunkRead> read = at->second;
    // Its own task: whoever asked first may be gone before the others have their answer.
    scope.spawn(fetch_chunk(ref, read));
    co_await read->done.wait();
    co_return read->content;
  }
  std::shared_ptr<ChunkRead> read = at->second;
  co_await read->done.wait();
  co_return read->content;
}

Task<void> State::fetch_chunk(meta::ChunkRef ref, std::shared_ptr<ChunkRead> read) {
  const std::shared_ptr<data::ChunkIo> io = chunk_io;
  read->content = co_await io->read(ref);
  chunk_reads.erase(ref.hash);
  read->done.set();
}

Task<void> State::read_chunk_quietly(meta::ChunkRef ref) { (void)co_await read_chunk(ref).result(); }

// The kernel sends several large reads at once; they may come in another order.
static bool is_next(const OpenFile& file, u64 offset, u64 end) {
  if (offset == file.next_read) return true;
  const u64 away = offset > file.next_read ? offset - file.next_read : file.next_read - offset;
  return end - offset >= kLargeRead && away <= kReordered;
}

// Twice as far with each step, so that a program that looks at the head of many files does not fetch them.
void State::read_ahead(const FilePtr& file, u64 offset, u64 end) {
  if (!is_next(*file, offset, end)) {
    file->next_read = file->read_ahead_until = end;
    file->read_ahead_bytes = 0;
    return;
  }
  file->next_read = std::max(file->next_read, end);
  file->read_ahead_until = std::max(file->read_ahead_until, file->next_read);
  file->read_ahead_bytes = std::clamp(2 * file->read_ahead_bytes, kReadAheadFirst, options.read_ahead_bytes);
  const u64 until = file->next_read + file->read_ahead_bytes;
  if (file->read_ahead_until >= until) return;
  for (const meta::Extent& extent : file->extents.in(file->read_ahead_until, until)) {
    if (extent.offset < file->read_ahead_until) continue;
    file->read_ahead_until = extent.offset + extent.length;
    if (const auto* ref = std::get_if<meta::ChunkRef>(&extent.content)) scope.spawn(read_chunk_quietly(*ref));
  }
}

}  // namespace claudefs::client
