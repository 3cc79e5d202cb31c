// Goal: each byte of a segment has one place, and it is where the erasure code put it.
// Method: read random ranges through their places from encoded shards; compare with the segment.
#include "codec/stripe_layout.h"

#include <gtest/gtest.h>

#include "codec/erasure.h"
#include "codec/tests/bytes.h"

namespace claudefs::codec {
namespace {

using test::between;
using test::Rng;

TEST(StripeLayout, PlacesHoldTheBytesAsked) {
  Rng rng(1);
  for (int round = 0; round < 2'000; ++round) {
    const auto k = static_cast<unsigned>(between(rng, 1, kMaxDataShards));
    const Buffer segment = test::random_bytes(rng, between(rng, 1, 4'000));
    const std::vector<Buffer> shards = ErasureCode::create(k, 0).value().encode(segment);
    const StripeLayout layout = StripeLayout::create(k, segment.size()).value();
    const std::size_t offset = between(rng, 0, segment.size());
    const std::size_t length = between(rng, 0, segment.size() - offset);
    std::string joined;
    for (const StripeLayout::Place& place : layout.places(offset, length).value()) {
      ASSERT_LT(place.shard, k);
      ASSERT_GT(place.length, 0u);
      joined += shards[place.shard].slice(place.offset, place.length).text();
    }
    ASSERT_EQ(joined, segment.slice(offset, length).text());
  }
}

TEST(StripeLayout, ARangeWithinAShardHasOnePlace) {
  const StripeLayout layout = StripeLayout::create(4, 2 << 20).value();
  EXPECT_EQ(layout.shard_length(), 512u << 10);
  const std::vector<StripeLayout::Place> one{{1, 100, 128 << 10}};
  EXPECT_EQ(layout.places((512 << 10) + 100, 128 << 10).value(), one);
  const std::vector<StripeLayout::Place> two{{1, (512 << 10) - 1, 1}, {2, 0, 9}};
  EXPECT_EQ(layout.places((1024 << 10) - 1, 10).value(), two);
}

TEST(StripeLayout, ShardsAreWholeVectors) {
  EXPECT_EQ(StripeLayout::shard_length(4, 0), 0u);
  EXPECT_EQ(StripeLayout::shard_length(4, 1), 64u);
  EXPECT_EQ(StripeLayout::shard_length(4, 256), 64u);
  EXPECT_EQ(StripeLayout::shard_length(4, 257), 128u);
  EXPECT_EQ(StripeLayout::shard_length(3, 2'000'001), 666'688u);
}

TEST(StripeLayout, RefusesWhatDoesNotLieInTheSegment) {
  for (const unsigned k : {0u, kMaxDataShards + 1})
    EXPECT_EQ(StripeLayout::create(k, 100).error().code, Errc::invalid_argument);
  const StripeLayout layout = StripeLayout::create(2, 100).value();
  EXPECT_TRUE(layout.places(100, 0));
  EXPECT_EQ(layout.places(100, 1).error().code, Errc::invalid_argument);
  EXPECT_EQ(layout.places(101, 0).error().code, Errc::invalid_argument);
  EXPECT_EQ(layout.places(50, UINT64_MAX).error().code, Errc::invalid_argument);
}

}  // namespace
}  // namespace claudefs::codec
