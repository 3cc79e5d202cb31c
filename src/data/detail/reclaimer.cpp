#include "data/detail/reclaimer.h"

#include <algorithm>

#include "base/log.h"
#include "base/mutant.h"
#include "data/detail/hlc.h"
#include "meta/operations.h"

namespace claudefs::data {

using namespace std::chrono_literals;
using runtime::Task;

CFS_DEFINE_MUTANT(data_segment_safe_after_one_message,
                  "data: a segment goes although the message that says what lives in it may be under way");

constexpr runtime::Duration kRound = 1s;
constexpr runtime::Duration kSafeFor = 1500ms;
constexpr runtime::Duration kProvedFor = 3s;
constexpr int kRoundsOfProof = 4;  // the first two end what an earlier proof began
constexpr int kBatchesARound = 64;
constexpr std::size_t kSegmentsAStep = 512;

void SafePoints::observe(Hlc least, Hlc greatest) {
  if (ceiling_ && least >= *ceiling_) {
    two_ = std::max(two_, *candidate_);
    candidate_.reset();
    ceiling_.reset();
  } else if (candidate_ && !ceiling_) {
    ceiling_ = greatest;
  }
  if (!candidate_) candidate_ = least;
  if (CFS_MUTANT(data_segment_safe_after_one_message)) two_ = least;
}

Task<void> Reclaimer::run(ShardId shard) {
  RateMeter& rate = rates_.insert_or_assign(shard, RateMeter(background_.env)).first->second;
  while (!background_.stopping) {
    co_await background_.env.executor().sleep(kRound);
    if (has_old_chunks(shard)) co_await reclaim_chunks(shard);
    co_await remove_segments(shard, rate);
  }
}

void Reclaimer::summarize(ShardId shard, StorageSummaryReply& reply) {
  if (const meta::ReadContext* state = background_.state(shard))
    reply.reclaimable_bytes += state->load<IndexTotals>(kTotalsKey).value_or(IndexTotals{}).zero_bytes;
  const auto rate = rates_.find(shard);
  if (rate == rates_.end()) return;
  reply.reclaimed_bytes = rate->second.total();
  reply.reclaim_rate = rate->second.per_second();
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

// At best everything up to now is safe: the shards are asked only where that would free something.
std::vector<SegmentId> Reclaimer::removable_of(ShardId shard, Hlc safe) const {
  std::vector<SegmentId> out;
  const meta::ReadContext* state = background_.state(shard);
  if (state == nullptr) return out;
  std::vector<SegmentId> dead;
  state->scan(kDeadSegmentPrefix, kDeadSegmentPrefix, [&](std::string_view key, std::string_view) {
    if (const auto id = parse_segment_key(key)) dead.push_back(*id);
    return true;
  });
  for (const SegmentId id : dead) {
    const std::optional<SegmentRecord> record = state->load<SegmentRecord>(segment_key(id));
    if (record && removable(*record, safe, background_.wall())) out.push_back(id);
    if (out.size() == kSegmentsAStep) break;
  }
  return out;
}

// `rate` is in rates_ for good.
Task<void> Reclaimer::remove_segments(ShardId shard, RateMeter& rate) {
  for (;;) {
    if (removable_of(shard, background_.wall()).empty()) co_return;
    const std::optional<Hlc> safe = co_await safe_point_of_two();
    if (!safe) co_return;
    RemoveSegments op;
    op.safe = *safe;
    op.segments = removable_of(shard, *safe);
    if (op.segments.empty()) co_return;
    const bool more = op.segments.size() == kSegmentsAStep;
    const auto removed = co_await background_.router.call(shard, std::move(op)).result();
    if (!removed) co_return;
    std::vector<ShardTarget> targets;
    for (const SegmentRecord& record : removed->records) {
      targets.push_back({record.id, record.generation, record.nodes});
      rate.add(record.length);
      reclaimed_ += record.length;
    }
    const bool none = targets.empty();
    co_await remove_shards(background_.env, background_.nodes, std::move(targets));
    if (!more || none) co_return;
  }
}

Task<std::optional<Hlc>> Reclaimer::safe_point() {
  const auto lock = co_await asking_.lock();
  if (safe_ && background_.env.now() - asked_at_ < kSafeFor) co_return safe_;
  co_return co_await ask();
}

// Its rounds follow each other at once: what is dead waits for clocks that differ, not for our next look.
Task<std::optional<Hlc>> Reclaimer::safe_point_of_two() {
  const auto lock = co_await asking_.lock();
  if (proved_at_ && background_.env.now() - *proved_at_ < kProvedFor) co_return points_.of_two_messages();
  for (int round = 0; round < kRoundsOfProof; ++round)
    if (!co_await ask()) co_return std::nullopt;
  proved_at_ = background_.env.now();
  co_return points_.of_two_messages();
}

// Under the lock.
Task<std::optional<Hlc>> Reclaimer::ask() {
  safe_.reset();
  asked_at_ = background_.env.now();
  std::vector<Task<Result<meta::OutboxStatusReply>>> asks;
  for (u16 shard = 0; shard < background_.router.shard_count(); ++shard)
    asks.push_back(background_.router.call(ShardId{shard}, meta::OutboxStatus{}));
  if (asks.empty()) co_return std::nullopt;
  Hlc least{~u64{0}}, greatest{};
  for (const auto& reply : co_await runtime::join_all(background_.env.executor(), std::move(asks))) {
    if (!reply) co_return std::nullopt;
    least = std::min({least, reply->clock, reply->delivered});
    greatest = std::max(greatest, reply->clock);
  }
  points_.observe(least, greatest);
  safe_ = least;
  co_return safe_;
}

}  // namespace claudefs::data
