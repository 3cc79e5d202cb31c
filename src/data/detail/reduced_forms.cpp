// Reducer: the shorter forms themselves, from the bases' contents to the index.
#include <algorithm>

#include "base/log.h"
#include "base/mutant.h"
#include "base/probe.h"
#include "codec/chunk_frame.h"
#include "data/detail/ask_shards.h"
#include "data/detail/compute.h"
#include "data/detail/hlc.h"
#include "data/detail/reducer.h"

namespace claudefs::data {

CFS_DEFINE_MUTANT(data_delta_names_another_base,
                  "data: the index is told another base than the one that the form builds on");
CFS_DEFINE_MUTANT(data_neighbour_untold,
                  "data: the index is told no base for a form that builds on a neighbour");

using runtime::Task;

constexpr u64 kWorthwhile = 16;       // a form must be shorter by one part of so many
constexpr u64 kWorthwhileLeast = 64;  // bytes: what the index takes for a delta more
constexpr u64 kWorthABase = 8;        // and a delta than what is packed alone: readers need the base, too
constexpr u64 kClearly = 4;           // a delta that takes one part of so many needs no comparison
constexpr u64 kPackedAtOnce = 512_KiB;
constexpr codec::Compression kHarder{codec::Compressor::zstd, 9};
constexpr codec::Compression kQuick{codec::Compressor::zstd, 1};

Task<void> Reducer::read_bases(BatchPtr batch) {
  std::map<codec::ChunkHash, Buffer> known;
  for (const ReductionBatch::Chunk& chunk : batch->chunks) known[chunk.hash] = chunk.plain;
  for (ReductionBatch::Chunk& chunk : batch->chunks) {
    if (!chunk.base) continue;
    Buffer& plain = known[*chunk.base];
    if (plain.empty()) {
      const Result<ChunkIo*> io = co_await chunks_.io().result();
      if (!io) co_return;
      Result<Buffer> read = co_await (*io)->read({*chunk.base, chunk.base_at, chunk.base_length, 0}).result();
      if (read) plain = std::move(*read);
    }
    chunk.base_plain = plain;
  }
}

namespace {

bool is_worthwhile(const Buffer& form, const Location& from) {
  return form.size() + std::max<u64>(from.length / kWorthwhile, kWorthwhileLeast) <= from.length;
}
// What is written must open.
Buffer if_good(const codec::DomainKey& key, const ReductionBatch::Chunk& chunk, Result<Buffer> form,
               ByteSpan base) {
  if (!form || !is_worthwhile(*form, chunk.from)) return {};
  return codec::open_chunk(key, chunk.hash, *form, base) ? std::move(*form) : Buffer();
}

// LZ4 found nothing in it, which says little of zstd: it has no codes for bytes that are more frequent than
// others, as in hexadecimal digits or pictures. A quick try tells noise, on which a thorough one is lost
// time.
bool looks_like_noise(const ReductionBatch::Chunk& chunk) {
  if (chunk.from.length < chunk.chunk_length) return false;
  Buffer out = Buffer::allocate(codec::compressed_room(chunk.plain.size()));
  return codec::compress(kQuick, chunk.plain.span(), out.mutable_span()) == 0;
}

Buffer delta_against(const codec::DomainKey& key, const ReductionBatch::Chunk& chunk,
                     const codec::ChunkHash& base, ByteSpan content) {
  return if_good(key, chunk, codec::seal_delta(key, chunk.hash, chunk.plain.span(), {base, content}),
                 content);
}
// What it takes to read a base, too, is to be gained.
bool is_worth_a_base(const Buffer& delta, u64 alone) {
  return !delta.empty() && delta.size() + alone / kWorthABase <= alone;
}

// `beside`: the chunk's neighbour, if it has one.
void make_form(const codec::DomainKey& key, ReductionBatch::Chunk& chunk,
               const ReductionBatch::Chunk* beside) {
  Buffer similar;
  if (!chunk.base_plain.empty()) similar = delta_against(key, chunk, *chunk.base, chunk.base_plain.span());
  if (!similar.empty() && similar.size() <= chunk.from.length / kClearly) {
    chunk.stored = std::move(similar);
    return;
  }
  const bool noise = looks_like_noise(chunk);
  if (!noise)
    chunk.stored = if_good(key, chunk, codec::seal_chunk({kHarder}, key, chunk.hash, chunk.plain.span()), {});
  const auto size = [&chunk] { return chunk.stored.empty() ? chunk.from.length : chunk.stored.size(); };
  if (is_worth_a_base(similar, size()))
    chunk.stored = std::move(similar);
  else
    chunk.base.reset();
  if (noise || beside == nullptr) return;
  Buffer form = delta_against(key, chunk, beside->hash, beside->plain.span());
  if (is_worth_a_base(form, size())) chunk.beside_neighbour = std::move(form);
}

}  // namespace

// Little by little: threads that hash and seal for clients are the same.
Task<void> Reducer::make_forms(BatchPtr batch) {
  for (std::size_t first = 0; first < batch->chunks.size();) {
    u64 bytes = 0;
    std::size_t end = first;
    for (; end < batch->chunks.size() && bytes < kPackedAtOnce; ++end) bytes += batch->bytes_to_form(end);
    co_await compute(background_.env, end - first, bytes,
                     [batch, first, key = chunks_.domain_key()](std::size_t i) {
                       ReductionBatch::Chunk& chunk = batch->chunks[first + i];
                       make_form(key, chunk, chunk.neighbour ? &batch->chunks[*chunk.neighbour] : nullptr);
                     });
    first = end;
  }
}

// Only those that turned out to help: a base stays whole for good.
Task<Result<void>> Reducer::pin_neighbours(BatchPtr batch) {
  std::map<codec::ChunkHash, std::vector<std::size_t>> wanted = batch->neighbours_wanted();
  if (wanted.empty()) co_return Result<void>();
  co_await pin(batch, wanted);
  for (const auto& [base, users] : wanted)
    for (const std::size_t i : users) {
      ReductionBatch::Chunk& chunk = batch->chunks[i];
      if (chunk.base != base) continue;  // refused
      CFS_PROBE(data_neighbour_delta, "a chunk becomes a delta against one that lies next to it");
      chunk.stored = std::move(chunk.beside_neighbour);
      if (CFS_MUTANT(data_neighbour_untold)) chunk.base.reset();
    }
  co_return Result<void>();
}

// Durable, and in the table as sealed, when it ends.
Task<Result<void>> Reducer::write_forms(BatchPtr batch) {
  for (std::size_t first = 0; first < batch->chunks.size();) {
    std::vector<Buffer> pieces;
    u64 bytes = 0;
    std::size_t end = first;
    while (end < batch->chunks.size() && bytes + batch->chunks[end].stored.size() <= kSegmentMax) {
      bytes += batch->chunks[end].stored.size();
      pieces.push_back(batch->chunks[end++].stored);
    }
    const WrittenSegment written = co_await writer_.write(std::move(pieces));
    SealSegments seal;
    seal.segments.push_back(written.sealed);
    seal.segments.back().reduced = true;
    co_await background_.router.call(shard_of(written.sealed.id), std::move(seal));
    batch->valid_until = std::min(batch->valid_until, later(written.granted, kGrantUse));
    u32 at = 0;
    for (; first < end; ++first) {
      ReductionBatch::Chunk& chunk = batch->chunks[first];
      chunk.to = {written.sealed.id, at, static_cast<u32>(chunk.stored.size())};
      at += chunk.to.length;
    }
  }
  co_return Result<void>();
}

Task<Result<void>> Reducer::tell_index(BatchPtr batch) {
  std::map<ShardId, ReduceChunks> asks;
  for (const ReductionBatch::Chunk& chunk : batch->chunks) {
    ReduceChunks& op = asks[meta::shard_of_chunk(chunk.hash, background_.router.shard_count())];
    op.valid_until = batch->valid_until;
    op.forms.push_back({chunk.hash, chunk.from, chunk.to, chunk.base});
    if (CFS_MUTANT(data_delta_names_another_base) && chunk.base)
      op.forms.back().base = batch->chunks.front().hash;
  }
  const std::map<ShardId, ReduceChunksReply> replies =
      co_await ask_shards(background_.env, background_.router, std::move(asks));
  for (const auto& [shard, reply] : replies) {
    saved_ += reply.saved_bytes;
    if (reply.deltas != 0) CFS_PROBE(data_delta_stored, "a chunk becomes a delta against a similar one");
    if (reply.deltas == 0 && reply.saved_bytes != 0)
      CFS_PROBE(data_chunk_packed_harder, "a chunk without a similar one is packed harder");
  }
  co_return Result<void>();
}

}  // namespace claudefs::data
