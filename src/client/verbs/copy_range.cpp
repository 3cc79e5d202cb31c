#include "client/detail/state.h"
#include "data/operations.h"

namespace claudefs::client {

namespace {

constexpr u64 kPiece = 1_MiB;           // of what goes through this client's buffers
constexpr u32 kExtentsPerCommit = 128;  // at most 1 MiB of them inline
constexpr meta::Hlc kNoBound{UINT64_MAX};

// The part of `extent` in [begin, end), moved from `from` to `to`.
meta::Extent moved_part(const meta::Extent& extent, u64 begin, u64 end, u64 from, u64 to) {
  const u64 first = std::max(begin, extent.offset);
  const u64 last = std::min(end, extent.offset + extent.length);
  const u64 skip = first - extent.offset;
  meta::Extent part{first - from + to, last - first, extent.content};
  if (auto* data = std::get_if<meta::InlineData>(&part.content))
    data->bytes = data->bytes.slice(skip, part.length);
  else
    std::get<meta::ChunkRef>(part.content).offset_in_chunk += static_cast<u32>(skip);
  return part;
}

// The promise that the chunks stay until the commit; nothing when one of them is not in the index (yet).
Task<Result<std::optional<meta::Hlc>>> pin(State& state, const std::vector<meta::Extent>& extents) {
  std::map<ShardId, data::PinChunks> by_shard;
  for (const meta::Extent& extent : extents)
    if (const auto* chunk = std::get_if<meta::ChunkRef>(&extent.content))
      by_shard[meta::shard_of_chunk(chunk->hash, state.router.shard_count())].hashes.push_back(chunk->hash);
  std::vector<Task<Result<data::ChunkPlaces>>> calls;
  for (auto& [shard, op] : by_shard) calls.push_back(state.ask(shard, std::move(op)));
  std::vector<Result<data::ChunkPlaces>> replies =
      co_await runtime::join_all(state.env.executor(), std::move(calls));
  meta::Hlc until = kNoBound;
  for (Result<data::ChunkPlaces>& reply : replies) {
    if (!reply) co_return fail(std::move(reply.error()));
    for (const data::ChunkPlace& place : reply->places)
      if (!place.found) co_return std::optional<meta::Hlc>();
    until = std::min(until, reply->valid_until);
  }
  co_return std::optional<meta::Hlc>(until);
}

// One commit that makes [to, ...) of the target refer to what [from, end) of the source refers to. Gives
// where it got to in the source; 0 when the chunks cannot be referred to now.
Task<Result<u64>> refer(State& state, FilePtr source, FilePtr target, u64 from, u64 end, u64 to) {
  meta::GetExtents get;
  get.inode = source->id();
  get.offset = from;
  get.length = end - from;
  get.extents_max = kExtentsPerCommit;
  const meta::GetExtentsReply got = co_await state.ask(source->id().shard(), std::move(get));
  if (got.truncated) end = got.extents.back().offset + got.extents.back().length;
  meta::CommitWrite commit;
  commit.inode = target->id();
  for (const meta::Extent& extent : got.extents)
    commit.extents.push_back(moved_part(extent, from, end, from, to));
  const std::optional<meta::Hlc> until = co_await pin(state, commit.extents);
  if (!until) co_return u64{0};
  if (*until != kNoBound) commit.valid_until = *until;
  meta::CommitWrite::Range range;
  range.offset = to;
  range.length = end - from;
  commit.punch.push_back(range);
  commit.size_at_least = to + range.length;
  commit.modified = state.time_now();
  const u64 before = target->attributes.data_version;
  meta::InodeReply reply;
  {
    const Leases::OwnChange change(state.own(), target->id());
    reply = co_await state.command(target->id().shard(), std::move(commit));
  }
  state.note_own_change(reply.inode, before);
  co_return end;
}

Task<Result<u64>> copy_references(State& state, FilePtr source, FilePtr target, CopyRequest request) {
  co_await state.flush(source, FlushMode::everything);
  co_await state.ensure_current(source);
  const Leases::Use use = co_await state.use_for_writing(target);
  auto lock = co_await target->flush_lock.lock();
  co_await state.flush_locked(target, FlushMode::everything);
  const u64 size = state.visible(*source).size;
  if (request.from_offset >= size) co_return u64{0};
  const u64 end = request.from_offset + std::min(request.length, size - request.from_offset);
  u64 at = request.from_offset;
  while (at < end) {
    const u64 reached =
        co_await refer(state, source, target, at, end, request.to_offset + (at - request.from_offset));
    if (reached == 0) break;
    at = reached;
  }
  co_return at - request.from_offset;
}

}  // namespace

Task<Result<u64>> FileSystem::copy_range(CopyRequest request) {
  State& state = *state_;
  Handle* const from = co_await state.find_handle(request.from);
  Handle* const to = co_await state.find_handle(request.to);
  if (!to->flags.write)
    co_return fail(Errc::not_permitted, "copy_file_range: the target is open for reading only");
  if (request.to_offset > meta::kFileSizeMax || request.length > meta::kFileSizeMax - request.to_offset)
    co_return fail(Errc::file_too_big, "copy_file_range: beyond the largest file");
  const FilePtr source = from->file;
  const FilePtr target = to->file;
  u64 copied = co_await copy_references(state, source, target, request);
  state.note_accessed(source->attributes);
  if (state.leases) co_await state.leases->questions_first(target->id());
  // Chunks so new that their index does not know them yet: through this client's buffers, as read and write.
  while (copied < request.length) {
    const u64 piece = std::min(kPiece, request.length - copied);
    const ReadResult got = co_await read(request.from, request.from_offset + copied, piece);
    if (got.pieces.empty()) break;
    for (const Buffer& part : got.pieces) {
      co_await write(request.to, request.to_offset + copied, part);
      copied += part.size();
    }
  }
  co_return copied;
}

}  // namespace claudefs::client
