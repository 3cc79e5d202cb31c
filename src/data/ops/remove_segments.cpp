#include "data/ops/ops.h"

namespace claudefs::data {

Result<SegmentsReply> apply_remove_segments(meta::ApplyContext& context, const RemoveSegments& op) {
  SegmentsReply reply;
  const auto remove_if = [&](SegmentId segment, auto&& judge) {
    std::optional<SegmentRecord> record = context.load<SegmentRecord>(segment_key(segment));
    if (!record || !judge(*record)) return;
    remove_segment(context, segment);
    reply.records.push_back(std::move(*record));
  };
  for (const SegmentId segment : op.segments)
    remove_if(segment, [&](const SegmentRecord& r) { return removable(r, op.safe, context.hlc()); });
  for (const SegmentId segment : op.empty)
    remove_if(segment, [](const SegmentRecord& r) {
      return r.state == SegmentState::open && r.live_bytes == 0 && !r.ever_live;
    });
  return reply;
}

}  // namespace claudefs::data
