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

using runtime::Task;

constexpr u64 kWorthwhile = 8;       // a form must be shorter by one part of so many
constexpr u64 kSavedLeast = 16_KiB;  // by a batch: a segment more takes the nodes some blocks each
constexpr codec::Compression kHarder{codec::Compressor::zstd, 9};

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
  return form.size() + from.length / kWorthwhile <= from.length;
}
// What is written must open.
void keep_if_good(const codec::DomainKey& key, ReductionBatch::Chunk& chunk, Result<Buffer> form,
                  ByteSpan base) {
  if (!form || !is_worthwhile(*form, chunk.from)) return;
  if (codec::open_chunk(key, chunk.hash, *form, base)) chunk.stored = std::move(*form);
}
void make_form(const codec::DomainKey& key, ReductionBatch::Chunk& chunk) {
  if (!chunk.base_plain.empty()) {
    const ByteSpan base = chunk.base_plain.span();
    keep_if_good(key, chunk, codec::seal_delta(key, chunk.hash, chunk.plain.span(), {*chunk.base, base}),
                 base);
  }
  if (!chunk.stored.empty()) return;
  chunk.base.reset();
  // Stored longer than its content: nothing was gained, or the volume's policy is not to compress.
  if (chunk.from.length < chunk.chunk_length)
    keep_if_good(key, chunk, codec::seal_chunk({kHarder}, key, chunk.hash, chunk.plain.span()), {});
}

}  // namespace

Task<void> Reducer::make_forms(BatchPtr batch) {
  u64 bytes = 0;
  for (const ReductionBatch::Chunk& chunk : batch->chunks) bytes += chunk.plain.size();
  co_await compute(background_.env, batch->chunks.size(), bytes,
                   [batch, key = chunks_.domain_key()](std::size_t i) { make_form(key, batch->chunks[i]); });
  u64 saved = 0;
  for (const ReductionBatch::Chunk& chunk : batch->chunks)
    if (!chunk.stored.empty()) saved += chunk.from.length - chunk.stored.size();
  std::erase_if(batch->chunks, [saved](const ReductionBatch::Chunk& chunk) {
    return chunk.stored.empty() || saved < kSavedLeast;
  });
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
