// ChunkIo::store: hash, look up, seal, write.
#include <algorithm>
#include <limits>
#include <map>

#include "base/probe.h"
#include "data/detail/chunk_io.h"
#include "data/detail/compute.h"
#include "data/detail/hlc.h"

namespace claudefs::data {

using runtime::Task;

namespace {

constexpr u64 kDirectBytes = 256_KiB;  // from here on new bytes are worth a segment of their own
constexpr Hlc kForever{std::numeric_limits<u64>::max()};

}  // namespace

struct ChunkIoImpl::Batch {
  struct Chunk {
    Buffer plain;
    codec::ChunkHash hash;
    std::size_t first = 0;  // the first chunk of the batch with the same content; often itself
    bool known = false;     // in the index, and pinned
    Location location;
    Buffer stored;  // of new ones
  };
  codec::DomainKey key;
  codec::Compression compression;
  std::vector<Chunk> chunks;
  u64 plain_bytes = 0;
  u64 stored_bytes = 0;  // new
  std::vector<std::size_t> fresh;
  Hlc valid_until = kForever;
  std::optional<Error> failed;
};

Task<Result<StoredChunks>> ChunkIoImpl::store(std::vector<Buffer> plain) {
  auto batch = std::make_shared<Batch>();
  batch->key = domain_key_;
  batch->compression = compression_;
  batch->chunks.resize(plain.size());
  for (std::size_t i = 0; i < plain.size(); ++i) {
    if (plain[i].empty() || plain[i].size() > codec::kMaxChunkLength)
      co_return fail(Errc::invalid_argument, fmt::format("a chunk of {} bytes", plain[i].size()));
    batch->plain_bytes += plain[i].size();
    batch->chunks[i].plain = std::move(plain[i]);
  }
  co_await begin_call();
  const auto memory =
      co_await memory_.acquire(std::clamp<u64>(batch->plain_bytes / kMemoryUnit, 1, kMemoryUnits));
  co_await hash_all(batch);
  co_await find_and_pin(batch);
  co_await seal_new(batch);
  co_await write_new(batch);
  co_return answer(*batch);
}

Task<void> ChunkIoImpl::hash_all(BatchPtr batch) {
  co_await compute(env_, batch->chunks.size(), batch->plain_bytes, [batch](std::size_t i) {
    batch->chunks[i].hash = codec::hash_chunk(batch->key, batch->chunks[i].plain.span());
  });
  std::map<codec::ChunkHash, std::size_t> seen;
  for (std::size_t i = 0; i < batch->chunks.size(); ++i)
    batch->chunks[i].first = seen.try_emplace(batch->chunks[i].hash, i).first->second;
}

template <class Op>
Task<Result<void>> ChunkIoImpl::ask_index(BatchPtr batch, std::vector<std::size_t> which) {
  std::map<ShardId, std::vector<std::size_t>> by_shard;
  for (const std::size_t i : which)
    by_shard[meta::shard_of_chunk(batch->chunks[i].hash, router_.shard_count())].push_back(i);
  std::vector<Task<Result<ChunkPlaces>>> calls;
  for (const auto& [shard, members] : by_shard) {
    Op op;
    for (const std::size_t i : members) op.hashes.push_back(batch->chunks[i].hash);
    calls.push_back(router_.call(shard, std::move(op)));
  }
  std::vector<Result<ChunkPlaces>> replies;
  if (calls.size() == 1)
    replies.push_back(co_await std::move(calls.front()).result());
  else
    replies = co_await runtime::join_all(env_.executor(), std::move(calls));
  auto reply = replies.begin();
  for (const auto& [shard, members] : by_shard) {
    const ChunkPlaces places = co_await std::move(*reply++);
    if (places.places.size() != members.size())
      co_return fail(Errc::corrupt, fmt::format("shard {} answered for another number of chunks", shard));
    for (std::size_t n = 0; n < members.size(); ++n) {
      Batch::Chunk& chunk = batch->chunks[members[n]];
      chunk.known = places.places[n].found;
      chunk.location = places.places[n].location;
    }
    if (Op::kKind == PinChunks::kKind) batch->valid_until = std::min(batch->valid_until, places.valid_until);
  }
  co_return Result<void>();
}

Task<Result<void>> ChunkIoImpl::find_and_pin(BatchPtr batch) {
  std::vector<std::size_t> unique, found;
  for (std::size_t i = 0; i < batch->chunks.size(); ++i)
    if (batch->chunks[i].first == i) unique.push_back(i);
  co_await ask_index<FindChunks>(batch, unique);
  for (const std::size_t i : unique)
    if (batch->chunks[i].known) found.push_back(i);
  if (!found.empty()) co_await ask_index<PinChunks>(batch, found);
  for (const std::size_t i : unique)
    if (!batch->chunks[i].known) batch->fresh.push_back(i);
  co_return Result<void>();
}

Task<Result<void>> ChunkIoImpl::seal_new(BatchPtr batch) {
  u64 bytes = 0;
  for (const std::size_t i : batch->fresh) bytes += batch->chunks[i].plain.size();
  auto results = std::make_shared<std::vector<Result<Buffer>>>(batch->fresh.size());
  co_await compute(env_, batch->fresh.size(), bytes, [batch, results](std::size_t n) {
    const Batch::Chunk& chunk = batch->chunks[batch->fresh[n]];
    (*results)[n] = codec::seal_chunk({batch->compression}, batch->key, chunk.hash, chunk.plain.span());
  });
  for (std::size_t n = 0; n < results->size(); ++n) {
    Buffer stored = co_await std::move((*results)[n]);
    batch->stored_bytes += stored.size();
    batch->chunks[batch->fresh[n]].stored = std::move(stored);
  }
  co_return Result<void>();
}

Task<Result<void>> ChunkIoImpl::write_new(BatchPtr batch) {
  if (batch->fresh.empty()) co_return Result<void>();
  if (batch->stored_bytes >= kDirectBytes) co_return co_await write_segments(batch).result();
  Result<void> written = co_await write_to_journals(batch).result();
  // Journals are small and fill while sealing lags; the shard stores may have room all the same.
  if (!written && written.error().code == Errc::no_space) {
    CFS_PROBE(data_journals_full, "journals are full: a small write goes to segments");
    co_return co_await write_segments(batch).result();
  }
  co_return written;
}

Task<Result<void>> ChunkIoImpl::write_to_journals(BatchPtr batch) {
  std::vector<Buffer> pieces;
  for (const std::size_t i : batch->fresh) pieces.push_back(batch->chunks[i].stored);
  const Appended appended = co_await journal_.append(std::move(pieces));
  u32 at = appended.offset;
  for (const std::size_t i : batch->fresh) {
    const u32 length = static_cast<u32>(batch->chunks[i].stored.size());
    batch->chunks[i].location = {appended.segment, at, length};
    at += length;
  }
  batch->valid_until = std::min(batch->valid_until, later(appended.granted, kGrantUse));
  co_return Result<void>();
}

Task<Result<void>> ChunkIoImpl::write_segments(BatchPtr batch) {
  // As many segments as needed, as even as chunks allow.
  const u64 segments = (batch->stored_bytes + kSegmentMax - 1) / kSegmentMax;
  const u64 even = (batch->stored_bytes + segments - 1) / segments;
  std::vector<Task<Result<WrittenSegment>>> writes;
  std::vector<std::size_t> chunks;
  u64 bytes = 0;
  for (const std::size_t i : batch->fresh) {
    const u64 length = batch->chunks[i].stored.size();
    if (bytes >= even || bytes + length > kSegmentMax) {
      writes.push_back(write_segment(batch, std::exchange(chunks, {})));
      bytes = 0;
    }
    chunks.push_back(i);
    bytes += length;
  }
  writes.push_back(write_segment(batch, std::move(chunks)));
  std::vector<Result<WrittenSegment>> results =
      co_await runtime::join_all(env_.executor(), std::move(writes));
  std::vector<WrittenSegment> written;
  for (Result<WrittenSegment>& result : results) written.push_back(co_await std::move(result));
  co_return co_await seal_segments(std::move(written)).result();
}

Task<Result<WrittenSegment>> ChunkIoImpl::write_segment(BatchPtr batch, std::vector<std::size_t> chunks) {
  const auto permit = co_await writing_.acquire();
  std::vector<Buffer> pieces;
  for (const std::size_t i : chunks) pieces.push_back(batch->chunks[i].stored);
  WrittenSegment written = co_await direct_.write(std::move(pieces));
  u32 at = 0;
  for (const std::size_t i : chunks) {
    const u32 length = static_cast<u32>(batch->chunks[i].stored.size());
    batch->chunks[i].location = {written.sealed.id, at, length};
    at += length;
  }
  batch->valid_until = std::min(batch->valid_until, later(written.granted, kGrantUse));
  co_return written;
}

Task<Result<void>> ChunkIoImpl::seal_segments(std::vector<WrittenSegment> written) {
  std::map<ShardId, SealSegments> by_shard;
  for (const WrittenSegment& segment : written)
    by_shard[shard_of(segment.sealed.id)].segments.push_back(segment.sealed);
  std::vector<Task<Result<meta::Nothing>>> calls;
  for (auto& [shard, op] : by_shard) calls.push_back(router_.call(shard, std::move(op)));
  std::vector<Result<meta::Nothing>> results = co_await runtime::join_all(env_.executor(), std::move(calls));
  for (Result<meta::Nothing>& result : results) co_await std::move(result);
  for (WrittenSegment& segment : written) {
    SegmentRecord record;
    record.id = segment.sealed.id;
    record.state = SegmentState::sealed;
    record.layout = segment.sealed.layout;
    record.generation = segment.sealed.generation;
    record.nodes = std::move(segment.sealed.nodes);
    record.length = segment.sealed.length;
    record.granted = segment.granted;
    directory_.put(std::move(record));
  }
  co_return Result<void>();
}

StoredChunks ChunkIoImpl::answer(const Batch& batch) {
  StoredChunks out;
  out.valid_until = batch.valid_until;
  for (const Batch::Chunk& chunk : batch.chunks) {
    const Batch::Chunk& origin = batch.chunks[chunk.first];
    StoredChunk stored;
    stored.ref.hash = chunk.hash;
    stored.ref.hint = origin.location;
    stored.ref.chunk_length = static_cast<u32>(chunk.plain.size());
    if (&origin == &chunk && !chunk.known) stored.new_stored_bytes = static_cast<u32>(chunk.stored.size());
    out.chunks.push_back(stored);
  }
  stats_.chunks_stored += batch.chunks.size();
  stats_.chunks_deduplicated += batch.chunks.size() - batch.fresh.size();
  stats_.plain_bytes += batch.plain_bytes;
  stats_.stored_bytes += batch.stored_bytes;
  return out;
}

}  // namespace claudefs::data
