// Goal: any k shards give back all the others, for every geometry; parity is what the format page says.
// Method: all erasure patterns of small codes, random ones of the rest; parity against a schoolbook field.
#include "codec/erasure.h"

#include <gtest/gtest.h>

#include <bit>
#include <numeric>

#include "codec/stripe_layout.h"
#include "codec/tests/bytes.h"

namespace claudefs::codec {
namespace {

using test::between;
using test::Rng;

// GF(2^8) by shifting and reducing, and inversion by search.
unsigned times(unsigned a, unsigned b) {
  unsigned out = 0;
  for (; b != 0; b >>= 1, a = a << 1 ^ (a & 0x80 ? 0x11d : 0))
    if (b & 1) out ^= a;
  return out & 0xff;
}
unsigned inverse(unsigned a) {
  for (unsigned x = 1; x < 256; ++x)
    if (times(a, x) == 1) return x;
  return 0;
}

std::vector<Shard> survivors(const std::vector<Buffer>& shards, unsigned present) {
  std::vector<Shard> out;
  for (unsigned i = 0; i < shards.size(); ++i)
    if (present >> i & 1) out.push_back({i, shards[i]});
  return out;
}
std::vector<unsigned> every(const ErasureCode& code) {
  std::vector<unsigned> out(code.shards());
  std::iota(out.begin(), out.end(), 0);
  return out;
}

TEST(Erasure, ParityIsWhatTheFormatPageSays) {
  Rng rng(1);
  for (unsigned k = 1; k <= kMaxDataShards; ++k) {
    const ErasureCode code = ErasureCode::create(k, kMaxParityShards).value();
    const std::vector<Buffer> shards = code.encode(test::random_bytes(rng, 64 * k));
    for (unsigned p = 0; p < kMaxParityShards; ++p) {
      for (std::size_t b = 0; b < 64; ++b) {
        unsigned sum = 0;
        for (unsigned i = 0; i < k; ++i)
          sum ^= times(k == 1 ? 1 : inverse((k + p) ^ i), static_cast<unsigned>(shards[i].data()[b]));
        ASSERT_EQ(static_cast<unsigned>(shards[k + p].data()[b]), sum) << k << " " << p << " " << b;
      }
    }
  }
}

TEST(Erasure, DataShardsAreTheSegmentInOrder) {
  Rng rng(2);
  for (int round = 0; round < 50; ++round) {
    const auto k = static_cast<unsigned>(between(rng, 1, kMaxDataShards));
    const ErasureCode code = ErasureCode::create(k, 2).value();
    const Buffer segment = test::random_bytes(rng, between(rng, 0, 5'000));
    std::string joined;
    const std::vector<Buffer> shards = code.encode(segment);
    ASSERT_EQ(shards.size(), k + 2);
    for (unsigned i = 0; i < k; ++i) joined += shards[i].text();
    std::string expected(segment.text());
    expected.resize(joined.size(), '\0');
    EXPECT_EQ(joined, expected);
    EXPECT_EQ(joined.size(), k * StripeLayout::shard_length(k, segment.size()));
  }
}

TEST(Erasure, AnyKShardsGiveTheOthers) {
  Rng rng(3);
  for (unsigned k = 1; k <= 6; ++k) {
    for (unsigned m = 0; m <= kMaxParityShards; ++m) {
      const ErasureCode code = ErasureCode::create(k, m).value();
      const std::vector<Buffer> shards = code.encode(test::random_bytes(rng, between(rng, 1, 900)));
      for (unsigned present = 0; present < 1u << (k + m); ++present) {
        const auto back = code.reconstruct(survivors(shards, present), every(code));
        if (std::popcount(present) < static_cast<int>(k)) {
          ASSERT_EQ(back.error().code, Errc::unavailable);
        } else {
          ASSERT_EQ(back.value(), shards) << k << "+" << m << " from " << present;
        }
      }
    }
  }
}

TEST(Erasure, WideCodesSurviveRandomLosses) {
  Rng rng(4);
  for (int round = 0; round < 300; ++round) {
    const auto k = static_cast<unsigned>(between(rng, 7, kMaxDataShards));
    const auto m = static_cast<unsigned>(between(rng, 1, kMaxParityShards));
    const ErasureCode code = ErasureCode::create(k, m).value();
    const std::vector<Buffer> shards = code.encode(test::random_bytes(rng, between(rng, 1, 9'000)));
    unsigned present = (1u << (k + m)) - 1;
    while (std::popcount(present) > static_cast<int>(k)) present &= ~(1u << between(rng, 0, k + m - 1));
    std::vector<Shard> available = survivors(shards, present);
    std::shuffle(available.begin(), available.end(), rng);
    ASSERT_EQ(code.reconstruct(available, every(code)).value(), shards) << k << "+" << m;
  }
}

TEST(Erasure, ARangeNeedsOnlyThatRangeOfTheOthers) {
  Rng rng(5);
  const ErasureCode code = ErasureCode::create(4, 2).value();
  const std::vector<Buffer> shards = code.encode(test::random_bytes(rng, 100'000));
  for (int round = 0; round < 200; ++round) {
    const std::size_t offset = between(rng, 0, shards[0].size() - 1);
    const std::size_t length = between(rng, 1, std::min<std::size_t>(500, shards[0].size() - offset));
    std::vector<Shard> available;
    for (const unsigned i : {0u, 2u, 4u, 5u}) available.push_back({i, shards[i].slice(offset, length)});
    const std::vector<unsigned> wanted{3, 1, 0};
    const std::vector<Buffer> back = code.reconstruct(available, wanted).value();
    ASSERT_EQ(back.size(), 3u);
    for (std::size_t i = 0; i < 3; ++i) ASSERT_EQ(back[i], shards[wanted[i]].slice(offset, length));
  }
}

TEST(Erasure, OneDataShardIsMirrored) {
  const ErasureCode code = ErasureCode::create(1, 4).value();
  const std::vector<Buffer> shards = code.encode(Buffer::copy_of("mirrored"));
  for (const Buffer& shard : shards) EXPECT_EQ(shard, shards[0]);
}

TEST(Erasure, AnEmptySegmentHasEmptyShards) {
  const ErasureCode code = ErasureCode::create(4, 2).value();
  const std::vector<Buffer> shards = code.encode(Buffer());
  ASSERT_EQ(shards.size(), 6u);
  EXPECT_EQ(code.reconstruct(survivors(shards, 0b111100), every(code)).value(), shards);
}

TEST(Erasure, RefusesWhatMakesNoSense) {
  for (const auto& [k, m] : std::vector<std::pair<unsigned, unsigned>>{{0, 1}, {17, 1}, {4, 5}})
    EXPECT_EQ(ErasureCode::create(k, m).error().code, Errc::invalid_argument);
  const ErasureCode code = ErasureCode::create(2, 1).value();
  const Buffer one = Buffer::zeros(64);
  const std::vector<unsigned> wanted{0};
  const auto error_of = [&](const std::vector<Shard>& available, const std::vector<unsigned>& which) {
    return code.reconstruct(available, which).error().code;
  };
  EXPECT_EQ(error_of({{1, one}, {1, one}}, wanted), Errc::invalid_argument);
  EXPECT_EQ(error_of({{1, one}, {3, one}}, wanted), Errc::invalid_argument);
  EXPECT_EQ(error_of({{1, one}, {2, Buffer::zeros(65)}}, wanted), Errc::invalid_argument);
  EXPECT_EQ(error_of({{1, one}, {2, one}}, {3}), Errc::invalid_argument);
  EXPECT_EQ(error_of({}, wanted), Errc::unavailable);
}

}  // namespace
}  // namespace claudefs::codec
