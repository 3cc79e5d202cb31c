#include "codec/stripe_layout.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/check.h"
#include "codec/erasure.h"

namespace claudefs::codec {

std::uint64_t StripeLayout::shard_length(unsigned data_shards, std::uint64_t segment_length) {
  CFS_CHECK(data_shards > 0);
  const std::uint64_t even = segment_length / data_shards + (segment_length % data_shards != 0 ? 1 : 0);
  return (even + kShardAlignment - 1) / kShardAlignment * kShardAlignment;
}

Result<StripeLayout> StripeLayout::create(unsigned data_shards, std::uint64_t segment_length) {
  if (data_shards == 0 || data_shards > kMaxDataShards)
    return fail(Errc::invalid_argument,
                fmt::format("a segment has 1 to {} data shards, not {}", kMaxDataShards, data_shards));
  return StripeLayout(segment_length, shard_length(data_shards, segment_length));
}

Result<std::vector<StripeLayout::Place>> StripeLayout::places(std::uint64_t offset,
                                                              std::uint64_t length) const {
  if (offset > segment_length_ || length > segment_length_ - offset)
    return fail(Errc::invalid_argument, fmt::format("bytes {}+{} do not lie in a segment of {} bytes", offset,
                                                    length, segment_length_));
  std::vector<Place> out;
  while (length > 0) {
    const std::uint64_t in_shard = offset % shard_length_;
    const std::uint64_t here = std::min(length, shard_length_ - in_shard);
    out.push_back({static_cast<unsigned>(offset / shard_length_), in_shard, here});
    offset += here;
    length -= here;
  }
  return out;
}

}  // namespace claudefs::codec
