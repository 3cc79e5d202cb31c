// Gives sealed segments back the redundancy they should have: after a node is gone or its disk fails, a shard
// is lost or damaged, or when more nodes are up than when they were written. The most endangered first. Knows
// by that how well the shard's data stand, for the status.
#pragma once

#include <map>
#include <set>

#include "data/detail/background.h"
#include "data/detail/holdings.h"
#include "store/shard_store.h"

namespace claudefs::data {

class Repairer {
 public:
  explicit Repairer(Background& background)
      : background_(background), permits_(background.env.executor(), 2) {}
  runtime::Task<void> run(ShardId shard);  // until destroyed or stopping
  // A read found this copy lost or wrong: its segment is looked at now.
  void report(ShardId shard, const ReportBadCopy& bad);
  // Fills in what it knows of a shard that is led here.
  void summarize(ShardId shard, const StorageSummary& op, StorageSummaryReply& reply);

 private:
  struct Care;  // of a shard that is led here; lives in run()'s frame
  struct Job {
    SegmentRecord record;
    int spare = 0;
    ShardMask lies = 0;
  };
  runtime::Task<void> pass(Care& care);
  runtime::Task<void> look_at_reported(Care& care);
  runtime::Task<void> work_off(Care& care, std::vector<Job> jobs);
  runtime::Task<std::set<NodeId>> verify(Care& care, std::vector<SegmentRecord> records);
  void add_job(const Care& care, const SegmentRecord& record, std::vector<Job>& jobs) const;
  int spare(const Care& care, const SegmentRecord& record) const;
  bool worth_it(const Care& care, const SegmentRecord& record) const;
  runtime::Task<bool> repair(Care& care, Job job);
  runtime::Task<Result<Buffer>> read_all(SegmentPtr record, ShardMask lies);

  Background& background_;
  std::map<ShardId, Care*> led_;
  runtime::Semaphore permits_;  // over all shards of this node
};

}  // namespace claudefs::data
