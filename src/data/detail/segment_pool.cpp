#include "data/detail/segment_pool.h"

#include <algorithm>

namespace claudefs::data {

using runtime::Task;

Task<Result<Granted>> SegmentPool::take() {
  const auto lock = co_await asking_.lock();
  while (!ready_.empty() && env_.now() - ready_.front().known_at > kFresh) {
    ready_.pop_front();
    next_count_ = kGrantLeast;  // slower than expected
  }
  if (ready_.empty()) {
    const u32 count = std::exchange(next_count_, std::min(next_count_ * 2, kGrantMost));
    for (const Granted& granted : co_await grant(count, {})) ready_.push_back(granted);
  }
  const Granted granted = ready_.front();
  ready_.pop_front();
  co_return granted;
}

Task<Result<Granted>> SegmentPool::grant_open(std::vector<NodeId> journals) {
  const std::vector<Granted> granted = co_await grant(1, std::move(journals));
  co_return granted.front();
}

Task<Result<std::vector<Granted>>> SegmentPool::grant(u32 count, std::vector<NodeId> journals) {
  const u16 shards = router_.shard_count();
  if (shards == 0) co_return fail(Errc::unavailable, "the cluster map is not known yet");
  const ShardId shard{static_cast<u16>(env_.random().next() % shards)};
  GrantSegments op{owner_, count, std::move(journals)};
  // Stamped when asked, not when answered: the promise runs from the grant.
  const runtime::Instant asked = env_.now();
  const SegmentsReply reply = co_await router_.call(shard, std::move(op));
  std::vector<Granted> granted;
  for (const SegmentRecord& record : reply.records) granted.push_back({record.id, record.granted, asked});
  if (granted.size() != count)
    co_return fail(Errc::corrupt, "the segment table granted another number of segments");
  co_return granted;
}

}  // namespace claudefs::data
