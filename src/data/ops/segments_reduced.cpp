#include "data/ops/ops.h"

namespace claudefs::data {

Result<meta::Nothing> apply_segments_reduced(meta::ApplyContext& context, const SegmentsReduced& op) {
  for (const SegmentId segment : op.segments) {
    std::optional<SegmentRecord> record = context.load<SegmentRecord>(segment_key(segment));
    if (!record || record->state != SegmentState::sealed || record->reduced) continue;
    record->reduced = true;
    put_segment(context, *record);
  }
  return meta::Nothing{};
}

}  // namespace claudefs::data
