// Segment records as a client or node last saw them.
#pragma once

#include <memory>

#include "cluster/shard_call.h"
#include "data/detail/flights.h"
#include "data/detail/lru.h"
#include "data/operations.h"

namespace claudefs::data {

using SegmentPtr = std::shared_ptr<const SegmentRecord>;

class SegmentDirectory {
 public:
  SegmentDirectory(cluster::Router& router, runtime::Scope& scope) : router_(router), flights_(scope) {}
  // From memory, or the segment's shard. May be old: a read that fails asks again with fetch().
  runtime::Task<Result<SegmentPtr>> find(SegmentId segment);
  runtime::Task<Result<SegmentPtr>> fetch(SegmentId segment);
  void put(SegmentRecord record);

 private:
  static runtime::Task<Result<SegmentPtr>> ask(SegmentDirectory* self, SegmentId segment);
  static constexpr u64 kRecordsMax = 8192;

  cluster::Router& router_;
  Lru<SegmentId, SegmentPtr> known_{kRecordsMax};
  Flights<SegmentId, SegmentPtr> flights_;
};

}  // namespace claudefs::data
