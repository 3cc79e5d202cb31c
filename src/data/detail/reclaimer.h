// Frees chunks that nothing refers to, and segments that hold no chunk of the index any more.
#pragma once

#include "data/detail/background.h"

namespace claudefs::data {

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
  std::vector<SegmentId> removable_of(ShardId shard) const;
  runtime::Task<void> remove_segments(ShardId shard, RateMeter& rate);
  // Every shard's clock is past it, and what was emitted up to it has arrived. Nothing when a shard does not
  // answer.
  runtime::Task<std::optional<Hlc>> safe_point();

  Background& background_;
  runtime::Mutex asking_;
  std::optional<Hlc> safe_;  // as of `asked_at_`; shared by the shards of this node
  runtime::Instant asked_at_{};
  std::map<ShardId, RateMeter> rates_;  // of the shards that are or were led here
  u64 reclaimed_ = 0;
};

}  // namespace claudefs::data
