// Frees chunks that nothing refers to, and segments that hold no chunk of the index any more.
#pragma once

#include "data/detail/background.h"

namespace claudefs::data {

class Reclaimer {
 public:
  explicit Reclaimer(Background& background) : background_(background), asking_(background.env.executor()) {}
  runtime::Task<void> run(ShardId shard);  // until destroyed or stopping

 private:
  bool has_old_chunks(ShardId shard) const;
  runtime::Task<void> reclaim_chunks(ShardId shard);
  runtime::Task<void> remove_segments(ShardId shard);
  // Every shard's clock is past it, and what was emitted up to it has arrived. Nothing when a shard does not
  // answer.
  runtime::Task<std::optional<Hlc>> safe_point();

  Background& background_;
  runtime::Mutex asking_;
  std::optional<Hlc> safe_;  // as of `asked_at_`; shared by the shards of this node
  runtime::Instant asked_at_{};
};

}  // namespace claudefs::data
