// Reads a range of a segment, wherever it lies: from a journal while it is open, from the one or two shards
// that cover it once it is sealed, rebuilt from others where a shard is missing, damaged or slow. As long as
// any k good shards of each block exist, or a good journal copy, the read succeeds.
#pragma once

#include <functional>

#include "codec/erasure.h"
#include "codec/stripe_layout.h"
#include "data/detail/nodes.h"
#include "data/detail/segment_directory.h"

namespace claudefs::data {

struct SegmentRange {
  u32 offset = 0;
  u32 length = 0;
};
// Shards, or journals of an open segment, by their place in the record; a bit each.
using ShardMask = u32;

class SegmentReader {
 public:
  SegmentReader(runtime::Env& env, Nodes& nodes) : env_(env), nodes_(nodes) {}
  // Told of shards that their holder says it lacks, or that do not check.
  using BadCopy = std::function<void(const ReportBadCopy&)>;
  void on_bad_copy(BadCopy tell) { tell_ = std::move(tell); }

  // `without`: not to be used, their bytes are wrong. Errors: stale (the segment is gone), unavailable
  // (enough may come back), corrupt (too few good copies exist, or the record is old), out_of_range.
  runtime::Task<Result<Buffer>> read(SegmentPtr record, SegmentRange range, ShardMask without = 0);
  u64 degraded_reads() const { return degraded_; }

 private:
  using Place = codec::StripeLayout::Place;
  struct Gathered;
  runtime::Task<Result<Buffer>> read_journal(SegmentPtr record, SegmentRange range, ShardMask without);
  runtime::Task<Result<Buffer>> read_place(SegmentPtr record, Place place, ShardMask without);
  runtime::Task<Result<Buffer>> read_shard(SegmentPtr record, Place place, runtime::Duration timeout);
  runtime::Task<Result<Buffer>> rebuild(SegmentPtr record, Place place, ShardMask without);
  runtime::Task<Result<Buffer>> rebuild_by_blocks(SegmentPtr record, Place place, ShardMask without);
  runtime::Task<void> gather(SegmentPtr record, Place place, ShardMask without,
                             std::shared_ptr<Gathered> gathered);
  runtime::Duration patience() const;
  std::vector<unsigned> usable_first(const std::vector<NodeId>& nodes) const;

  runtime::Env& env_;
  Nodes& nodes_;
  BadCopy tell_;
  i64 usual_ns_ = 0;  // smoothed time of a good read
  u64 degraded_ = 0;
};

// The masks of one to `count_max` of `places` places, fewer first: whose bytes may be the wrong ones.
std::vector<ShardMask> suspects_of(unsigned places, unsigned count_max);

}  // namespace claudefs::data
