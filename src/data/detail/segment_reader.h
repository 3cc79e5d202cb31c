// Reads a range of a segment, wherever it lies: from a journal while it is open, from the one or two shards
// that cover it once it is sealed, rebuilt from others where a shard is missing, damaged or slow.
#pragma once

#include "codec/erasure.h"
#include "codec/stripe_layout.h"
#include "data/detail/nodes.h"
#include "data/detail/segment_directory.h"

namespace claudefs::data {

struct SegmentRange {
  u32 offset = 0;
  u32 length = 0;
};

class SegmentReader {
 public:
  SegmentReader(runtime::Env& env, Nodes& nodes) : env_(env), nodes_(nodes) {}

  // `distrust_direct`: the plain shards' bytes were wrong; read around them. Errors: stale (the record is
  // old, or the segment gone), unavailable, corrupt, out_of_range.
  runtime::Task<Result<Buffer>> read(SegmentPtr record, SegmentRange range, bool distrust_direct = false);
  u64 degraded_reads() const { return degraded_; }

 private:
  using Place = codec::StripeLayout::Place;
  runtime::Task<Result<Buffer>> read_journal(SegmentPtr record, SegmentRange range);
  runtime::Task<Result<Buffer>> read_place(SegmentPtr record, Place place, bool distrust_direct);
  runtime::Task<Result<Buffer>> read_shard(SegmentPtr record, Place place, runtime::Duration timeout);
  runtime::Task<Result<Buffer>> rebuild(SegmentPtr record, Place place);
  runtime::Duration patience() const;
  std::vector<unsigned> usable_first(const std::vector<NodeId>& nodes) const;

  runtime::Env& env_;
  Nodes& nodes_;
  i64 usual_ns_ = 0;  // smoothed time of a good read
  u64 degraded_ = 0;
};

}  // namespace claudefs::data
