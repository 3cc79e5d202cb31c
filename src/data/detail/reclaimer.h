// Frees chunks that nothing refers to, and segments that hold no chunk of the index any more.
#pragma once

#include "data/detail/background.h"

namespace claudefs::data {

// What all shards' answers to OutboxStatus prove, round by round; each round is asked when the one before has
// ended. A reference comes to a segment's table by two messages: a commit tells the index, and the index,
// once it has applied that, the table. So that no message is under way proves nothing about the second one.
class SafePoints {
 public:
  // `least`: every shard's clock is past it, and what was emitted up to it has been applied. `greatest`: no
  // shard's clock was past it when it answered.
  void observe(Hlc least, Hlc greatest);
  // What was emitted up to it has been applied, and so has what was emitted by then in consequence.
  Hlc of_two_messages() const { return two_; }

 private:
  Hlc two_{};
  std::optional<Hlc> candidate_;  // of an earlier round
  std::optional<Hlc> ceiling_;    // all clocks of the round after it: what its messages caused is older
};

class Reclaimer {
 public:
  explicit Reclaimer(Background& background) : background_(background), asking_(background.env.executor()) {}
  runtime::Task<void> run(ShardId shard);  // until destroyed or stopping
  // Fills in what it knows of a shard that is led here.
  void summarize(ShardId shard, StorageSummaryReply& reply);
  u64 reclaimed_bytes() const { return reclaimed_; }  // by this node since it started

 private:
  bool has_old_chunks(ShardId shard) const;
  runtime::Task<void> reclaim_chunks(ShardId shard);
  std::vector<SegmentId> removable_of(ShardId shard, Hlc safe) const;
  runtime::Task<void> remove_segments(ShardId shard, RateMeter& rate);
  // Every shard's clock is past it, and what was emitted up to it has arrived. Nothing when a shard does not
  // answer.
  runtime::Task<std::optional<Hlc>> safe_point();
  runtime::Task<std::optional<Hlc>> safe_point_of_two();
  runtime::Task<std::optional<Hlc>> ask();

  Background& background_;
  runtime::Mutex asking_;
  SafePoints points_;
  std::optional<Hlc> safe_;  // as of `asked_at_`; shared by the shards of this node
  runtime::Instant asked_at_{};
  std::optional<runtime::Instant> proved_at_;  // when of_two_messages() was last brought up to date
  std::map<ShardId, RateMeter> rates_;         // of the shards that are or were led here
  u64 reclaimed_ = 0;
};

}  // namespace claudefs::data
