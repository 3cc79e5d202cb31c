#include "data/detail/segment_directory.h"

namespace claudefs::data {

runtime::Task<Result<SegmentPtr>> SegmentDirectory::find(SegmentId segment) {
  if (const SegmentPtr* known = known_.find(segment)) co_return *known;
  co_return co_await fetch(segment).result();
}

runtime::Task<Result<SegmentPtr>> SegmentDirectory::fetch(SegmentId segment) {
  return flights_.get(segment, [this, segment] { return ask(this, segment); });
}

runtime::Task<Result<SegmentPtr>> SegmentDirectory::ask(SegmentDirectory* self, SegmentId segment) {
  FindSegments op;
  op.segments.push_back(segment);
  SegmentsReply reply = co_await self->router_.call(shard_of(segment), std::move(op));
  if (reply.records.size() != 1 || reply.records.front().id != segment)
    co_return fail(Errc::corrupt,
                   fmt::format("the segment table answered for another segment than {}", segment));
  auto record = std::make_shared<const SegmentRecord>(std::move(reply.records.front()));
  self->known_.put(segment, record, 1);
  co_return SegmentPtr(std::move(record));
}

void SegmentDirectory::put(SegmentRecord record) {
  const SegmentId id = record.id;
  known_.put(id, std::make_shared<const SegmentRecord>(std::move(record)), 1);
}

}  // namespace claudefs::data
