#include "data/ops/ops.h"

namespace claudefs::data {

constexpr u32 kGrantMax = 1024;

Result<SegmentsReply> apply_grant_segments(meta::ApplyContext& context, const GrantSegments& op) {
  if (op.count == 0 || op.count > kGrantMax)
    return fail(Errc::invalid_argument,
                fmt::format("{} segments asked for; 1 to {} may be", op.count, kGrantMax));
  SegmentsReply reply;
  for (u32 i = 0; i < op.count; ++i) {
    SegmentRecord record;
    record.id = make_segment_id(SiteId{0}, context.shard(), context.next("segment"));
    record.owner = op.owner;
    record.journals = op.journals;
    record.granted = record.changed = context.hlc();
    put_segment(context, record);
    reply.records.push_back(std::move(record));
  }
  return reply;
}

}  // namespace claudefs::data
