// Gives back the dead part of segments of which the rest lives: moves what lives into new segments, so that
// the old ones come empty and the Reclaimer frees them. Never takes anything away itself: a moved chunk's
// new copy is durable and in the table before the index is told, and the old copy goes when nothing is
// counted there any more.
#pragma once

#include <map>

#include "data/detail/background.h"
#include "data/detail/direct_writer.h"

namespace claudefs::data {

class Compactor {
 public:
  explicit Compactor(Background& background)
      : background_(background),
        pool_(background.env, background.router, SessionId{}),
        writer_(background.env, background.nodes, pool_),
        permits_(background.env.executor(), 1) {}
  runtime::Task<void> run(ShardId shard);  // until destroyed or stopping
  // Fills in what it knows of a shard that is led here.
  void summarize(ShardId shard, StorageSummaryReply& reply) const;
  u64 moved_bytes() const { return moved_; }  // by this node since it started

 private:
  using RetryTimes = std::map<SegmentId, runtime::Instant>;
  struct Moving;  // chunks on their way
  runtime::Task<std::vector<SegmentRecord>> choose(ShardId shard, const RetryTimes& retry);
  bool short_of_space() const;
  runtime::Task<Result<u64>> compact(std::vector<SegmentRecord> segments);
  runtime::Task<Result<void>> find_chunks(Moving& moving, const std::vector<SegmentRecord>& segments);
  runtime::Task<Result<void>> read_chunks(Moving& moving, SegmentPtr record);
  runtime::Task<Result<void>> write_chunks(Moving& moving);
  runtime::Task<Result<u64>> tell_index(const Moving& moving);

  Background& background_;
  SegmentPool pool_;
  DirectWriter writer_;
  runtime::Semaphore permits_;  // over all shards of this node
  std::map<ShardId, u64> moved_of_;
  u64 moved_ = 0;
};

// What compaction works on next: of segments that are settled and partly dead, those whose dead bytes are to
// be had most cheaply (dead bytes, times how long nothing changed there, by bytes read and written), until
// the dead left over are within what the policy allows. Pure.
struct CompactionPolicy {
  double dead_share_allowed = 0.08;  // of the live bytes
  double always_from = 0.5;          // a segment so dead goes in any case
};
std::vector<SegmentRecord> choose_for_compaction(std::vector<SegmentRecord> records, Hlc now,
                                                 CompactionPolicy policy);

}  // namespace claudefs::data
