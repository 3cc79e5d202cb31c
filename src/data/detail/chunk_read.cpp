// ChunkIo::read: memory, then where the hint says, then where the index says.
#include <algorithm>

#include "base/log.h"
#include "base/probe.h"
#include "data/detail/chunk_io.h"
#include "data/detail/compute.h"

namespace claudefs::data {

using namespace std::chrono_literals;
using runtime::Task;

constexpr runtime::Duration kReadTimeLimit = 30s;
constexpr u32 kFinalRounds = 3;  // for errors that time does not mend

Task<Result<Buffer>> ChunkIoImpl::read(meta::ChunkRef ref) {
  if (const Buffer* cached = cache_.find(ref.hash)) {
    ++stats_.cache_hits;
    co_return *cached;
  }
  co_await begin_call();
  co_return co_await fetching_.get(ref.hash, [this, &ref] { return fetch(this, ref, Use::content); })
      .result();
}

Task<Result<Buffer>> ChunkIoImpl::fetch(ChunkIoImpl* self, meta::ChunkRef ref, Use use) {
  const runtime::Instant deadline = self->env_.now() + kReadTimeLimit;
  if (const Location* moved = self->moved_.find(ref.hash)) ref.hint = *moved;
  const bool has_hint = ref.hint.segment != SegmentId{};
  for (u32 round = 0;; ++round) {
    Error last{Errc::corrupt,
               fmt::format("chunk {} is not stored anywhere; its file may have changed meanwhile",
                           ref.hash.to_hex())};
    if (has_hint) {
      Result<Buffer> plain = co_await self->fetch_from(ref, ref.hint, round != 0, use).result();
      if (plain) co_return plain;
      if (plain.error().code != Errc::stale) last = std::move(plain.error());
    }
    Result<ChunkPlace> place = co_await self->find_in_index(ref.hash).result();
    if (!place) {
      last = std::move(place.error());
    } else if (place->found && place->location != ref.hint) {
      Result<Buffer> plain = co_await self->fetch_from(ref, place->location, round != 0, use).result();
      CFS_PROBE(data_chunk_has_moved, "a chunk is no longer where its extent says");
      if (plain) self->moved_.put(ref.hash, place->location, 1);
      if (plain) co_return plain;
      last = std::move(plain.error());
    }
    const bool hopeless = !is_retryable(last.code) && round + 1 >= kFinalRounds;
    if (hopeless || self->env_.now() >= deadline)
      co_return fail(is_retryable(last.code) ? Errc::unavailable : Errc::corrupt,
                     fmt::format("chunk {}: {}", ref.hash.to_hex(), last.to_string()));
    co_await self->nodes_.refresh();
    co_await self->env_.executor().sleep(std::min<runtime::Duration>(20ms * (1 << std::min(round, 6u)), 1s));
  }
}

static bool differs(const SegmentRecord& a, const SegmentRecord& b) {
  return a.state != b.state || a.generation != b.generation;
}

Task<Result<Buffer>> ChunkIoImpl::fetch_from(meta::ChunkRef ref, meta::Location at, bool fresh, Use use) {
  SegmentPtr record;
  if (fresh)
    record = co_await directory_.fetch(at.segment);
  else
    record = co_await directory_.find(at.segment);
  const SegmentRange range{at.offset, at.length};
  // Ids are granted before use and never again: what is gone stays gone.
  if (record->state == SegmentState::dead)
    co_return fail(Errc::stale, fmt::format("segment {} is gone", record->id));
  Result<Buffer> stored = co_await reader_.read(record, range).result();
  if (!stored && !fresh) {
    // Sealed, moved or removed since we last asked?
    const SegmentPtr now = co_await directory_.fetch(at.segment);
    if (differs(*now, *record)) {
      record = now;
      stored = co_await reader_.read(record, range).result();
    }
  }
  if (!stored) co_return fail(std::move(stored.error()));
  // What names a base has checked: where that cannot be had another copy is of no use.
  const Buffer base = co_await base_of(ref, *stored, use);
  Result<Buffer> plain = co_await open(ref, std::move(*stored), base).result();
  if (plain) co_return plain;
  Result<Buffer> other = co_await open_around_lies(ref, record, range, use).result();
  if (other) co_return other;
  co_return plain;
}

// The content that this stored form builds on; nothing for one that is whole, or that does not check.
Task<Result<Buffer>> ChunkIoImpl::base_of(meta::ChunkRef ref, Buffer stored, Use use) {
  const std::optional<codec::ChunkHash> hash = codec::delta_base(stored.span());
  if (!hash) co_return Buffer();
  if (use == Use::base)
    co_return fail(Errc::corrupt, fmt::format("it is stored as a delta against chunk {} and another chunk "
                                              "builds on it: run `claudefs fsck`",
                                              hash->to_hex()));
  CFS_PROBE(data_delta_read, "a chunk is read that is stored as a delta");
  if (const Buffer* cached = cache_.find(*hash)) co_return *cached;
  meta::ChunkRef wanted;
  wanted.hash = *hash;
  wanted.chunk_length = ref.chunk_length;
  Result<Buffer> base =
      co_await fetching_bases_.get(*hash, [this, &wanted] { return fetch(this, wanted, Use::base); })
          .result();
  if (!base)
    co_return fail(base.error().code, fmt::format("it is stored as a delta, and its base cannot be read: {}",
                                                  base.error().text));
  co_return base;
}

// Some copy holds its own checksums and is wrong all the same. Without the guilty ones the others give a
// chunk that checks.
Task<Result<Buffer>> ChunkIoImpl::open_around_lies(meta::ChunkRef ref, SegmentPtr record, SegmentRange range,
                                                   Use use) {
  const bool sealed = record->state == SegmentState::sealed;
  const std::size_t places = sealed ? record->nodes.size() : record->journals.size();
  const unsigned spare =
      sealed ? record->layout.parity_shards : static_cast<unsigned>(std::max<std::size_t>(places, 1) - 1);
  Error last{Errc::corrupt, fmt::format("chunk {} is damaged in every copy", ref.hash.to_hex())};
  for (const ShardMask without : suspects_of(static_cast<unsigned>(places), spare)) {
    Result<Buffer> stored = co_await reader_.read(record, range, without).result();
    if (!stored) {
      last = std::move(stored.error());
      continue;
    }
    const Result<Buffer> base = co_await base_of(ref, *stored, use).result();
    if (!base) {
      last = base.error();
      continue;
    }
    Result<Buffer> plain = co_await open(ref, std::move(*stored), *base).result();
    if (!plain) continue;
    CFS_PROBE(data_read_around_lies, "a copy that checks holds wrong bytes");
    log::warn("data", "a copy of a chunk holds its checksums and is wrong; the others are right",
              {log::kv("segment", record->id), log::kv("offset", range.offset)});
    for (u8 i = 0; sealed && i < places; ++i)
      if ((without >> i & 1) != 0) report({record->id, record->generation, i, true});
    co_return plain;
  }
  co_return fail(std::move(last));
}

Task<Result<Buffer>> ChunkIoImpl::open(meta::ChunkRef ref, Buffer stored, Buffer base) {
  struct Work {
    codec::DomainKey key;
    codec::ChunkHash hash;
    Buffer stored, base;
    Result<Buffer> plain;
  };
  auto work =
      std::make_shared<Work>(Work{domain_key_, ref.hash, std::move(stored), std::move(base), Buffer()});
  co_await compute(env_, 1, std::max<u64>(work->stored.size(), ref.chunk_length), [work](std::size_t) {
    work->plain = codec::open_chunk(work->key, work->hash, work->stored, work->base.span());
  });
  if (work->plain) {
    ++stats_.chunks_read;
    cache_.put(ref.hash, *work->plain, work->plain->size());
  }
  co_return std::move(work->plain);
}

Task<Result<ChunkPlace>> ChunkIoImpl::find_in_index(codec::ChunkHash hash) {
  FindChunks op;
  op.hashes.push_back(hash);
  const ShardId shard = meta::shard_of_chunk(hash, std::max<u16>(1, router_.shard_count()));
  const ChunkPlaces reply = co_await router_.call(shard, std::move(op));
  if (reply.places.size() != 1) co_return fail(Errc::corrupt, fmt::format("shard {} gave no answer", shard));
  co_return reply.places.front();
}

}  // namespace claudefs::data
