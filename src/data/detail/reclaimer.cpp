#include "data/detail/reclaimer.h"

#include <algorithm>

#include "base/log.h"
#include "data/detail/hlc.h"
#include "meta/operations.h"

namespace claudefs::data {

using namespace std::chrono_literals;
using runtime::Task;

constexpr runtime::Duration kRound = 10s;
constexpr runtime::Duration kSafeFor = 8s;
constexpr int kBatchesARound = 64;
constexpr std::size_t kRecordsAStep = 512;

Task<void> Reclaimer::run(ShardId shard) {
  while (!background_.stopping) {
    co_await background_.env.executor().sleep(kRound);
    if (has_old_chunks(shard)) co_await reclaim_chunks(shard);
    co_await remove_segments(shard);
  }
}

bool Reclaimer::has_old_chunks(ShardId shard) const {
  const meta::ReadContext* state = background_.state(shard);
  bool old = false;
  if (state != nullptr)
    state->scan(kZeroPrefix, kZeroPrefix, [&](std::string_view key, std::string_view) {
      const std::optional<ZeroEntry> oldest = parse_zero_key(key);
      old = oldest && later(oldest->zero_since, kChunkGrace) < background_.wall();
      return false;
    });
  return old;
}

Task<void> Reclaimer::reclaim_chunks(ShardId shard) {
  const std::optional<Hlc> safe = co_await safe_point();
  if (!safe) co_return;
  for (int batch = 0; batch < kBatchesARound; ++batch) {
    ReclaimChunks op;
    op.safe = *safe;
    const auto reply = co_await background_.router.call(shard, op).result();
    if (!reply || !reply->more) co_return;
  }
}

Task<void> Reclaimer::remove_segments(ShardId shard) {
  SegmentId cursor{};
  for (bool last = false; !last;) {
    const meta::ReadContext* state = background_.state(shard);
    if (state == nullptr) co_return;
    const std::vector<SegmentRecord> records = segments_after(*state, cursor, kRecordsAStep);
    last = records.size() < kRecordsAStep;
    if (!records.empty()) cursor = records.back().id;
    RemoveSegments op;
    // At best everything up to now is safe: ask the shards only where that would free something.
    for (const SegmentRecord& record : records)
      if (removable(record, background_.wall(), background_.wall())) op.segments.push_back(record.id);
    if (op.segments.empty()) {
      co_await background_.env.executor().yield();
      continue;
    }
    const std::optional<Hlc> safe = co_await safe_point();
    if (!safe) co_return;
    op.safe = *safe;
    const auto removed = co_await background_.router.call(shard, std::move(op)).result();
    if (!removed) co_return;
    std::vector<ShardTarget> targets;
    for (const SegmentRecord& record : removed->records)
      targets.push_back({record.id, record.generation, record.nodes});
    co_await remove_shards(background_.env, background_.nodes, std::move(targets));
  }
}

Task<std::optional<Hlc>> Reclaimer::safe_point() {
  const auto lock = co_await asking_.lock();
  if (safe_ && background_.env.now() - asked_at_ < kSafeFor) co_return safe_;
  safe_.reset();
  asked_at_ = background_.env.now();
  std::vector<Task<Result<meta::OutboxStatusReply>>> asks;
  for (u16 shard = 0; shard < background_.router.shard_count(); ++shard)
    asks.push_back(background_.router.call(ShardId{shard}, meta::OutboxStatus{}));
  if (asks.empty()) co_return std::nullopt;
  Hlc least{~u64{0}};
  for (const auto& reply : co_await runtime::join_all(background_.env.executor(), std::move(asks))) {
    if (!reply) co_return std::nullopt;
    least = std::min({least, reply->clock, reply->delivered});
  }
  safe_ = least;
  co_return safe_;
}

}  // namespace claudefs::data
