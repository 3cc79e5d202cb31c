#include "base/log.h"
#include "data/ops/ops.h"

namespace claudefs::data {

Result<meta::Nothing> apply_segment_delta(meta::ApplyContext& context, const SegmentDelta& op) {
  std::optional<SegmentRecord> record = context.load<SegmentRecord>(segment_key(op.segment));
  if (!record) {
    log::error("data", "a chunk refers to a segment that is not in the table",
               {log::kv("segment", op.segment), log::kv("bytes", op.live_bytes)});
    return meta::Nothing{};
  }
  record->live_bytes += op.live_bytes;
  if (op.live_bytes > 0) {
    record->ever_live = true;
    record->indexed_bytes += op.live_bytes;
  }
  if (record->live_bytes < 0) {
    log::error("data", "a segment lost more bytes than were live in it",
               {log::kv("segment", op.segment), log::kv("bytes", op.live_bytes)});
    record->live_bytes = 0;
  }
  record->changed = context.hlc();
  put_segment(context, *record);
  return meta::Nothing{};
}

}  // namespace claudefs::data
