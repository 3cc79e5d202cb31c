#include "data/ops/ops.h"

namespace claudefs::data {

Result<SegmentsReply> read_find_segments(const meta::ReadContext& context, const FindSegments& op) {
  SegmentsReply reply;
  reply.records.reserve(op.segments.size());
  for (const SegmentId segment : op.segments) {
    std::optional<SegmentRecord> record = context.load<SegmentRecord>(segment_key(segment));
    if (!record) {
      record.emplace();
      record->id = segment;
      record->state = SegmentState::dead;
    }
    reply.records.push_back(std::move(*record));
  }
  return reply;
}

}  // namespace claudefs::data
