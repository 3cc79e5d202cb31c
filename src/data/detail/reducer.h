// The second tier of reduction: chunks that have been left alone for a while get a shorter stored form, as a
// delta against a similar chunk where there is one, else by zstd, alone or as a delta against a neighbour.
// How the index is kept right through it: docs/formats/data-index.md. What their old forms leave behind is
// the Compactor's to give back.
#pragma once

#include <map>
#include <memory>

#include "data/detail/direct_writer.h"
#include "data/detail/reduction_batch.h"
#include "data/detail/server_chunks.h"

namespace claudefs::data {

class Reducer {
 public:
  // `after`: how long nothing may have changed in a segment before its chunks' turn comes.
  Reducer(Background& background, ServerChunks& chunks, runtime::Duration after)
      : background_(background),
        chunks_(chunks),
        after_(after),
        pool_(background.env, background.router, SessionId{}),
        writer_(background.env, background.nodes, pool_),
        permits_(background.env.executor(), 1) {}
  runtime::Task<void> run(ShardId shard);  // until destroyed or stopping
  // Fills in what it knows of a shard that is led here.
  void summarize(ShardId shard, StorageSummaryReply& reply) const;
  u64 saved_bytes() const { return saved_; }  // by this node since it started

 private:
  using BatchPtr = std::shared_ptr<ReductionBatch>;
  using RetryTimes = std::map<SegmentId, runtime::Instant>;
  runtime::Task<std::vector<SegmentRecord>> choose(ShardId shard, const RetryTimes& retry);
  bool is_full() const;
  runtime::Task<void> wait_for_turn(u64 bytes);
  runtime::Task<Result<void>> reduce(ShardId shard, std::vector<SegmentId> segments);
  runtime::Task<Result<std::vector<BatchPtr>>> find_chunks(std::vector<SegmentId> segments);
  runtime::Task<Result<void>> reduce(BatchPtr batch);
  runtime::Task<Result<void>> read_chunks(BatchPtr batch);
  runtime::Task<Result<void>> find_bases(BatchPtr batch);
  runtime::Task<Result<void>> match(BatchPtr batch);
  runtime::Task<Result<void>> pin(BatchPtr batch,
                                  std::map<codec::ChunkHash, std::vector<std::size_t>> wanted);
  runtime::Task<void> read_bases(BatchPtr batch);
  runtime::Task<void> make_forms(BatchPtr batch);
  runtime::Task<Result<void>> pin_neighbours(BatchPtr batch);
  runtime::Task<Result<void>> write_forms(BatchPtr batch);
  runtime::Task<Result<void>> tell_index(BatchPtr batch);

  Background& background_;
  ServerChunks& chunks_;
  const runtime::Duration after_;
  SegmentPool pool_;
  DirectWriter writer_;
  runtime::Semaphore permits_;  // over all shards of this node
  std::map<ShardId, u64> unreduced_;
  u64 saved_ = 0;
};

}  // namespace claudefs::data
