// Gives sealed segments back the redundancy they should have: after a node is gone, a shard is lost or
// damaged, or when more nodes are up than when they were written.
#pragma once

#include <set>

#include "data/detail/background.h"
#include "store/shard_store.h"

namespace claudefs::data {

class Repairer {
 public:
  explicit Repairer(Background& background)
      : background_(background), permits_(background.env.executor(), 2) {}
  runtime::Task<void> run(ShardId shard);  // until destroyed or stopping

 private:
  using Missing = std::set<store::ShardKey>;
  struct Progress {
    SegmentId cursor{};
    bool verify = false;  // this pass asks the holders what they hold
    u64 returns_seen = 0;
    runtime::Instant verify_at{};
    std::map<SegmentId, runtime::Instant> retry;
  };
  void begin_pass(Progress& progress) const;
  runtime::Task<Missing> find_missing(std::vector<SegmentRecord> records);
  runtime::Task<void> ask_holder(NodeId node, std::vector<store::ShardKey> keys, Missing& missing);
  // How many more failures it survives, as it is.
  int spare(const SegmentRecord& record, const Missing& missing) const;
  bool worth_it(const SegmentRecord& record, const Missing& missing) const;
  runtime::Task<bool> repair(SegmentRecord record);

  Background& background_;
  runtime::Semaphore permits_;  // over all shards of this node
};

}  // namespace claudefs::data
