#include "data/detail/reducer.h"

#include <algorithm>

#include "base/log.h"
#include "data/detail/ask_shards.h"
#include "data/detail/compute.h"
#include "data/detail/hlc.h"

namespace claudefs::data {

using namespace std::chrono_literals;
using runtime::Task;

constexpr runtime::Duration kRound = 10s;
constexpr runtime::Duration kBetweenSteps = 20ms;
constexpr runtime::Duration kRetryAfter = 60s;
constexpr std::size_t kRecordsAStep = 1024;
constexpr std::size_t kSegmentsAtOnce = 64;
constexpr u64 kBytesAtOnce = 2 * u64{kSegmentMax};
constexpr u64 kPlainAtOnce = 16_MiB;
constexpr u64 kFullFrom = 90;          // per cent of what a node may hold: the rest is compaction's
constexpr u64 kIdleRate = 32_MiB;      // stored bytes a second that it looks at, at most
constexpr u64 kBusyRate = 4_MiB;       // while a client moves data
constexpr u32 kStoredLeast = 256;      // shorter chunks are left alone: the index would take what it saves
constexpr u32 kSketchedLeast = 2_KiB;  // and so would the sketches of shorter ones
constexpr int kRounds = 3;             // of asking for bases

Task<void> Reducer::run(ShardId shard) {
  RetryTimes retry;
  while (!background_.stopping) {
    co_await background_.env.executor().sleep(std::min(kRound, after_));
    std::erase_if(retry, [this](const auto& item) { return item.second < background_.env.now(); });
    const std::vector<SegmentRecord> chosen = co_await choose(shard, retry);
    for (std::size_t at = 0; at < chosen.size() && !background_.stopping && !is_full();) {
      std::vector<SegmentId> segments;
      u64 bytes = 0;
      while (at < chosen.size() && segments.size() < kSegmentsAtOnce &&
             (segments.empty() || bytes + static_cast<u64>(chosen[at].live_bytes) <= kBytesAtOnce)) {
        bytes += static_cast<u64>(chosen[at].live_bytes);
        retry[chosen[at].id] = background_.env.now() + kRetryAfter;
        segments.push_back(chosen[at++].id);
      }
      const auto permit = co_await permits_.acquire();
      co_await wait_for_turn(bytes);
      const Result<void> done = co_await reduce(shard, std::move(segments)).result();
      if (done) continue;
      log::debug("data", "segments stay as they are for now; they will be tried again",
                 {log::kv("shard", shard), log::kv("error", done.error().to_string())});
      break;
    }
  }
}

void Reducer::summarize(ShardId shard, StorageSummaryReply& reply) const {
  if (const meta::ReadContext* state = background_.state(shard))
    reply.saved_bytes = state->load<IndexTotals>(kTotalsKey).value_or(IndexTotals{}).saved_bytes;
  if (const auto waiting = unreduced_.find(shard); waiting != unreduced_.end())
    reply.unreduced_bytes = waiting->second;
}

bool Reducer::is_full() const {
  return std::ranges::any_of(background_.router.map().nodes, [](const cluster::NodeView& node) {
    return node.stats.shard_bytes_max != 0 &&
           node.stats.shard_bytes > node.stats.shard_bytes_max / 100 * kFullFrom;
  });
}

// `retry` belongs to the awaiting run().
Task<std::vector<SegmentRecord>> Reducer::choose(ShardId shard, const RetryTimes& retry) {
  std::vector<SegmentRecord> out;
  u64 unreduced = 0, due = 0;
  bool long_due = false;
  SegmentId cursor{};
  for (bool last = false; !last;) {
    const meta::ReadContext* state = background_.state(shard);
    if (state == nullptr) co_return std::vector<SegmentRecord>();
    const Hlc now = background_.wall();
    std::vector<SegmentRecord> records = segments_after(*state, cursor, kRecordsAStep);
    last = records.size() < kRecordsAStep;
    if (!records.empty()) cursor = records.back().id;
    for (SegmentRecord& record : records) {
      if (record.state != SegmentState::sealed || record.reduced || record.live_bytes <= 0) continue;
      unreduced += static_cast<u64>(record.live_bytes);
      if (!settled(record, now) || later(record.changed, after_) >= now || retry.contains(record.id))
        continue;
      due += static_cast<u64>(record.live_bytes);
      long_due |= later(record.changed, 2 * after_) < now;
      out.push_back(std::move(record));
    }
    if (!last) co_await background_.env.executor().sleep(kBetweenSteps);
  }
  unreduced_[shard] = unreduced;
  // Little waits for more: what is looked at together shares bases and new segments.
  if (due < kBytesAtOnce && !long_due) out.clear();
  co_return out;
}

Task<void> Reducer::wait_for_turn(u64 bytes) {
  const u64 rate = background_.throttle.busy() ? kBusyRate : kIdleRate;
  co_await background_.env.executor().sleep(
      runtime::Duration(static_cast<i64>(bytes * 1'000'000'000 / rate)));
  co_await background_.throttle.pay(bytes * 2);
}

Task<Result<void>> Reducer::reduce(ShardId shard, std::vector<SegmentId> segments) {
  std::set<SegmentId> unread;
  for (const BatchPtr& batch : co_await find_chunks(segments)) {
    co_await reduce(batch);
    unread.insert(batch->unread.begin(), batch->unread.end());
  }
  SegmentsReduced done;
  for (const SegmentId segment : segments)
    if (!unread.contains(segment)) done.segments.push_back(segment);
  if (!done.segments.empty()) co_await background_.router.call(shard, std::move(done));
  co_return Result<void>();
}

Task<Result<void>> Reducer::reduce(BatchPtr batch) {
  co_await read_chunks(batch);
  co_await find_bases(batch);
  co_await read_bases(batch);
  batch->plan_neighbours();
  co_await make_forms(batch);
  co_await pin_neighbours(batch);
  batch->drop_unchanged();
  co_await write_forms(batch);
  co_return co_await tell_index(batch).result();
}

// In batches of which the contents fit into memory: what little is stored may be much.
Task<Result<std::vector<Reducer::BatchPtr>>> Reducer::find_chunks(std::vector<SegmentId> segments) {
  std::map<ShardId, ChunksIn> asks;
  for (u16 i = 0; i < background_.router.shard_count(); ++i) asks[ShardId{i}].segments = segments;
  const std::map<ShardId, ChunksInReply> replies =
      co_await ask_shards(background_.env, background_.router, std::move(asks));
  std::vector<ChunksInReply::Row> rows;
  for (const auto& [shard, reply] : replies) rows.insert(rows.end(), reply.rows.begin(), reply.rows.end());
  std::erase_if(
      rows, [](const ChunksInReply::Row& row) { return row.is_delta || row.location.length < kStoredLeast; });
  std::ranges::sort(rows, {}, [](const ChunksInReply::Row& row) {
    return std::pair(row.location.segment, row.location.offset);
  });
  std::vector<BatchPtr> out;
  u64 bytes = 0;
  for (const ChunksInReply::Row& row : rows) {
    if (out.empty() || bytes + row.chunk_length > kPlainAtOnce) {
      out.push_back(std::make_shared<ReductionBatch>());
      bytes = 0;
    }
    bytes += row.chunk_length;
    ReductionBatch::Chunk& chunk = out.back()->chunks.emplace_back();
    chunk.hash = row.hash;
    chunk.from = row.location;
    chunk.chunk_length = row.chunk_length;
    chunk.is_base = row.is_base;
  }
  co_return out;
}

Task<Result<void>> Reducer::read_chunks(BatchPtr batch) {
  ChunkIo* io = co_await chunks_.io();
  for (ReductionBatch::Chunk& chunk : batch->chunks) {
    if (batch->unread.contains(chunk.from.segment)) continue;  // each would be waited for
    Result<Buffer> plain = co_await io->read({chunk.hash, chunk.from, chunk.chunk_length, 0}).result();
    if (plain) {
      chunk.plain = std::move(*plain);
      continue;
    }
    log::debug("data", "a chunk cannot be read, and stays as it is",
               {log::kv("chunk", chunk.hash.to_hex()), log::kv("error", plain.error().to_string())});
    if (is_retryable(plain.error().code)) batch->unread.insert(chunk.from.segment);
  }
  std::erase_if(batch->chunks, [](const ReductionBatch::Chunk& chunk) { return chunk.plain.empty(); });
  co_return Result<void>();
}

Task<Result<void>> Reducer::find_bases(BatchPtr batch) {
  u64 bytes = 0;
  for (const ReductionBatch::Chunk& chunk : batch->chunks) bytes += chunk.plain.size();
  co_await compute(background_.env, batch->chunks.size(), bytes,
                   [batch, key = chunks_.domain_key()](std::size_t i) {
                     ReductionBatch::Chunk& chunk = batch->chunks[i];
                     if (!chunk.is_base && chunk.from.length >= kSketchedLeast)
                       chunk.sketch = codec::sketch_chunk(key, chunk.plain.span());
                   });
  for (int round = 0; round < kRounds; ++round) {
    co_await match(batch);
    std::map<codec::ChunkHash, std::vector<std::size_t>> wanted = batch->plan();
    if (wanted.empty()) break;
    co_await pin(batch, std::move(wanted));
  }
  co_return Result<void>();
}

// Asks for features that name nothing yet, or a chunk that is of no use.
Task<Result<void>> Reducer::match(BatchPtr batch) {
  const u16 shards = background_.router.shard_count();
  std::map<ShardId, MatchSketches> asks;
  std::map<ShardId, std::vector<std::optional<codec::ChunkHash>*>> places;
  for (ReductionBatch::Chunk& chunk : batch->chunks) {
    if (!chunk.sketch || chunk.base) continue;
    for (std::size_t i = 0; i < codec::kSketchFeatures; ++i) {
      std::optional<codec::ChunkHash>& similar = chunk.similar[i];
      if (similar && !batch->useless.contains(*similar)) continue;
      const u64 feature = (*chunk.sketch)[i];
      const ShardId shard = shard_of_feature(feature, shards);
      asks[shard].entries.push_back({feature, chunk.hash, similar.value_or(codec::ChunkHash{})});
      places[shard].push_back(&similar);
    }
  }
  const std::map<ShardId, MatchSketchesReply> replies =
      co_await ask_shards(background_.env, background_.router, std::move(asks));
  for (const auto& [shard, reply] : replies) {
    if (reply.chunks.size() != places[shard].size())
      co_return fail(Errc::corrupt, fmt::format("shard {} answered for another number of sketches", shard));
    for (std::size_t i = 0; i < reply.chunks.size(); ++i) *places[shard][i] = reply.chunks[i];
  }
  co_return Result<void>();
}

Task<Result<void>> Reducer::pin(BatchPtr batch, std::map<codec::ChunkHash, std::vector<std::size_t>> wanted) {
  std::map<ShardId, PinBases> asks;
  for (const auto& [hash, users] : wanted)
    asks[meta::shard_of_chunk(hash, background_.router.shard_count())].hashes.push_back(hash);
  const std::map<ShardId, PinBases> asked = asks;
  const std::map<ShardId, PinBasesReply> replies =
      co_await ask_shards(background_.env, background_.router, std::move(asks));
  for (const auto& [shard, reply] : replies) {
    const std::vector<codec::ChunkHash>& hashes = asked.at(shard).hashes;
    if (reply.bases.size() != hashes.size())
      co_return fail(Errc::corrupt, fmt::format("shard {} answered for another number of bases", shard));
    batch->valid_until = std::min(batch->valid_until, reply.valid_until);
    for (std::size_t i = 0; i < hashes.size(); ++i)
      batch->learn(hashes[i], reply.bases[i], wanted[hashes[i]]);
  }
  co_return Result<void>();
}

}  // namespace claudefs::data
