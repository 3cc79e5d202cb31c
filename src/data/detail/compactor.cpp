#include "data/detail/compactor.h"

#include <algorithm>

#include "base/log.h"
#include "base/mutant.h"
#include "base/probe.h"
#include "codec/chunk_frame.h"
#include "data/detail/hlc.h"

namespace claudefs::data {

CFS_DEFINE_MUTANT(data_compaction_drops_a_chunk,
                  "data: compaction leaves out a live chunk's bytes and moves its place all the same");
CFS_DEFINE_MUTANT(data_compaction_frees_first,
                  "data: compaction frees the old copy before the new one is durable");

using namespace std::chrono_literals;
using runtime::Task;

constexpr runtime::Duration kRound = 2s;
constexpr runtime::Duration kBetweenSteps = 20ms;
constexpr runtime::Duration kRetryAfter = 15s;
constexpr std::size_t kRecordsAStep = 1024;
constexpr std::size_t kSegmentsAtOnce = 64;
constexpr u64 kBytesAtOnce = 2 * u64{kSegmentMax};
constexpr u64 kShortFrom = 75;  // per cent of what a node may hold

struct Compactor::Moving {
  struct Chunk {
    codec::ChunkHash hash;
    Location from, to;
    Buffer stored;
  };
  std::map<SegmentId, std::vector<Chunk>> chunks;  // in the order of their places
  bool reduced = false;                            // the second tier has looked at all of them
  Hlc valid_until{};
};

Task<void> Compactor::run(ShardId shard) {
  RetryTimes retry;
  moved_of_[shard] = 0;
  while (!background_.stopping) {
    co_await background_.env.executor().sleep(kRound);
    std::erase_if(retry, [this](const auto& item) { return item.second < background_.env.now(); });
    std::vector<SegmentRecord> chosen = co_await choose(shard, retry);
    for (std::size_t at = 0; at < chosen.size() && !background_.stopping;) {
      std::vector<SegmentRecord> batch;
      u64 bytes = 0;
      while (at < chosen.size() && batch.size() < kSegmentsAtOnce &&
             (batch.empty() || bytes + static_cast<u64>(chosen[at].live_bytes) <= kBytesAtOnce)) {
        bytes += static_cast<u64>(chosen[at].live_bytes);
        // Done or not: until what was moved is counted it looks as before.
        retry[chosen[at].id] = background_.env.now() + kRetryAfter;
        batch.push_back(std::move(chosen[at++]));
      }
      const auto permit = co_await permits_.acquire();
      co_await background_.throttle.pay(bytes * 2);
      const Result<u64> moved = co_await compact(std::move(batch)).result();
      if (!moved) {
        log::debug("data", "segments cannot be compacted now; they will be tried again",
                   {log::kv("shard", shard), log::kv("error", moved.error().to_string())});
        break;
      }
      moved_of_[shard] += *moved;
      moved_ += *moved;
    }
  }
}

void Compactor::summarize(ShardId shard, StorageSummaryReply& reply) const {
  if (const auto moved = moved_of_.find(shard); moved != moved_of_.end()) reply.moved_bytes = moved->second;
}

bool Compactor::short_of_space() const {
  return std::ranges::any_of(background_.router.map().nodes, [](const cluster::NodeView& node) {
    return node.stats.shard_bytes > node.stats.shard_bytes_max / 100 * kShortFrom;
  });
}

// `retry` belongs to the awaiting run().
Task<std::vector<SegmentRecord>> Compactor::choose(ShardId shard, const RetryTimes& retry) {
  std::vector<SegmentRecord> all;
  SegmentId cursor{};
  for (bool last = false; !last;) {
    const meta::ReadContext* state = background_.state(shard);
    if (state == nullptr) co_return std::vector<SegmentRecord>();
    std::vector<SegmentRecord> records = segments_after(*state, cursor, kRecordsAStep);
    last = records.size() < kRecordsAStep;
    if (!records.empty()) cursor = records.back().id;
    for (SegmentRecord& record : records)
      if (!retry.contains(record.id)) all.push_back(std::move(record));
    if (!last) co_await background_.env.executor().sleep(kBetweenSteps);
  }
  CompactionPolicy policy;
  if (short_of_space()) policy.dead_share_allowed /= 2;
  co_return choose_for_compaction(std::move(all), background_.wall(), policy);
}

Task<Result<u64>> Compactor::compact(std::vector<SegmentRecord> segments) {
  CFS_PROBE(data_compaction, "what is alive in a half dead segment moves");
  Moving moving;
  moving.reduced = std::ranges::all_of(segments, &SegmentRecord::reduced);
  co_await find_chunks(moving, segments);
  std::erase_if(segments, [&](const SegmentRecord& record) { return !moving.chunks.contains(record.id); });
  std::vector<ShardTarget> old;
  for (SegmentRecord& record : segments) {
    const SegmentId id = record.id;
    old.push_back({id, record.generation, record.nodes});
    const Result<void> read =
        co_await read_chunks(moving, std::make_shared<const SegmentRecord>(std::move(record))).result();
    if (read) continue;
    log::debug("data", "a segment to be compacted cannot be read now",
               {log::kv("segment", id), log::kv("error", read.error().to_string())});
    moving.chunks.erase(id);
  }
  if (moving.chunks.empty()) co_return u64{0};
  if (CFS_MUTANT(data_compaction_frees_first))
    co_await remove_shards(background_.env, background_.nodes, std::move(old));
  co_await write_chunks(moving);
  co_return co_await tell_index(moving).result();
}

// `moving` and `segments` belong to the awaiting compact().
Task<Result<void>> Compactor::find_chunks(Moving& moving, const std::vector<SegmentRecord>& segments) {
  ChunksIn ask;
  for (const SegmentRecord& record : segments) ask.segments.push_back(record.id);
  std::vector<Task<Result<ChunksInReply>>> asks;
  for (u16 shard = 0; shard < background_.router.shard_count(); ++shard)
    asks.push_back(background_.router.call(ShardId{shard}, ask));
  for (auto& reply : co_await runtime::join_all(background_.env.executor(), std::move(asks))) {
    const ChunksInReply rows = co_await std::move(reply);
    for (const ChunksInReply::Row& row : rows.rows)
      moving.chunks[row.location.segment].push_back({row.hash, row.location, {}, {}});
  }
  for (auto& [segment, chunks] : moving.chunks)
    std::ranges::sort(chunks, {}, [](const Moving::Chunk& chunk) { return chunk.from.offset; });
  co_return Result<void>();
}

namespace {
struct Run {
  std::size_t first = 0, end = 0;  // of chunks that lie one behind the other
  SegmentRange range;
};
template <class Chunks>
std::vector<Run> runs_of(const Chunks& chunks) {
  std::vector<Run> out;
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    const Location& at = chunks[i].from;
    if (out.empty() || out.back().range.offset + out.back().range.length != at.offset)
      out.push_back({i, i, {at.offset, 0}});
    out.back().end = i + 1;
    out.back().range.length += at.length;
  }
  return out;
}
template <class Chunks>
bool all_check(const Chunks& chunks, const Run& run, const Buffer& bytes) {
  for (std::size_t i = run.first; i < run.end; ++i) {
    const Location& at = chunks[i].from;
    if (!codec::check_chunk(bytes.slice(at.offset - run.range.offset, at.length).span())) return false;
  }
  return true;
}
}  // namespace

// What is moved must check, like what is laid out anew: damage is never carried on. `moving` belongs to the
// awaiting compact().
Task<Result<void>> Compactor::read_chunks(Moving& moving, SegmentPtr record) {
  std::vector<Moving::Chunk>& chunks = moving.chunks.at(record->id);
  std::vector<ShardMask> tries =
      suspects_of(static_cast<unsigned>(record->nodes.size()), record->layout.parity_shards);
  tries.insert(tries.begin(), 0);
  for (const Run& run : runs_of(chunks)) {
    Result<Buffer> bytes = fail(Errc::corrupt, "a live chunk does not check in any copy");
    for (const ShardMask without : tries) {
      Result<Buffer> got = co_await background_.reader.read(record, run.range, without).result();
      if (!got && without == 0) co_return fail(std::move(got.error()));
      if (!got || !all_check(chunks, run, *got)) continue;
      bytes = std::move(got);
      break;
    }
    if (!bytes) co_return fail(std::move(bytes.error()));
    for (std::size_t i = run.first; i < run.end; ++i)
      chunks[i].stored = bytes->slice(chunks[i].from.offset - run.range.offset, chunks[i].from.length);
  }
  co_return Result<void>();
}

// Gives each chunk its new place; durable, and in the table as sealed, when it ends. `moving` belongs to the
// awaiting compact().
Task<Result<void>> Compactor::write_chunks(Moving& moving) {
  std::vector<std::vector<Moving::Chunk*>> loads;
  u64 bytes = 0;
  for (auto& [segment, chunks] : moving.chunks)
    for (Moving::Chunk& chunk : chunks) {
      if (loads.empty() || bytes + chunk.from.length > kSegmentMax) {
        loads.emplace_back();
        bytes = 0;
      }
      bytes += chunk.from.length;
      loads.back().push_back(&chunk);
    }
  moving.valid_until = Hlc{~u64{0}};
  for (const std::vector<Moving::Chunk*>& load : loads) {
    std::vector<Buffer> pieces;
    for (const Moving::Chunk* chunk : load)
      if (!CFS_MUTANT(data_compaction_drops_a_chunk) || chunk != load.front() || load.size() == 1)
        pieces.push_back(chunk->stored);
    const WrittenSegment written = co_await writer_.write(std::move(pieces));
    SealSegments seal;
    seal.segments.push_back(written.sealed);
    seal.segments.back().reduced = moving.reduced;
    co_await background_.router.call(shard_of(written.sealed.id), std::move(seal));
    moving.valid_until = std::min(moving.valid_until, later(written.granted, kGrantUse));
    u32 at = 0;
    for (Moving::Chunk* chunk : load) {
      chunk->to = {written.sealed.id, at, chunk->from.length};
      at += chunk->from.length;
    }
  }
  co_return Result<void>();
}

// `moving` belongs to the awaiting compact().
Task<Result<u64>> Compactor::tell_index(const Moving& moving) {
  std::map<ShardId, MoveChunks> by_shard;
  for (const auto& [segment, chunks] : moving.chunks)
    for (const Moving::Chunk& chunk : chunks)
      by_shard[meta::shard_of_chunk(chunk.hash, background_.router.shard_count())].moves.push_back(
          {chunk.hash, chunk.from, chunk.to});
  std::vector<Task<Result<MoveChunksReply>>> calls;
  for (auto& [shard, op] : by_shard) {
    op.valid_until = moving.valid_until;
    calls.push_back(background_.router.call(shard, std::move(op)));
  }
  u64 moved = 0;
  for (const auto& reply : co_await runtime::join_all(background_.env.executor(), std::move(calls)))
    if (reply) moved += reply->moved_bytes;
  co_return moved;
}

}  // namespace claudefs::data
