// Turns open segments that nobody fills any more into sealed ones, from either of their journals.
#pragma once

#include "data/detail/background.h"

namespace claudefs::data {

class Sealer {
 public:
  explicit Sealer(Background& background) : background_(background), permits_(background.env.executor(), 8) {}
  runtime::Task<void> run(ShardId shard);  // until destroyed or stopping

 private:
  using Times = std::map<SegmentId, runtime::Instant>;
  // `seen`: the open ones, since when this leader knows of each.
  std::vector<SegmentRecord> due(ShardId shard, const Times& retry, Times& seen) const;
  runtime::Task<bool> seal(SegmentRecord record);
  runtime::Task<bool> forget_empty(SegmentRecord record);
  runtime::Task<void> drop_journals(SegmentRecord record);

  Background& background_;
  runtime::Semaphore permits_;
};

}  // namespace claudefs::data
