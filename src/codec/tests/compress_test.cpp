// Goal: what is packed unpacks to the same; the probe skips what does not pay; damage is refused.
#include "codec/compress.h"

#include <gtest/gtest.h>

#include "codec/tests/bytes.h"

namespace claudefs::codec {
namespace {

using test::between;
using test::Rng;

TEST(Compress, RoundTripsWhatItShrinks) {
  Rng rng(1);
  for (int round = 0; round < 60; ++round) {
    const Buffer plain = test::text_like(rng, between(rng, 200, 300'000));
    Buffer packed = Buffer::allocate(compressed_room(plain.size()));
    const std::size_t size = compress_lz4(plain, packed.mutable_span());
    ASSERT_GT(size, 0u);
    ASSERT_LE(size, plain.size() - plain.size() / 16);
    Buffer back = Buffer::allocate(plain.size());
    ASSERT_TRUE(decompress_lz4(packed.span().first(size), back.mutable_span()));
    ASSERT_EQ(back, plain);
  }
}

TEST(Compress, LeavesAloneWhatDoesNotShrink) {
  Rng rng(2);
  for (const std::size_t size : {0, 1, 15, 16, 4096, 30'000, 131'072}) {
    const Buffer plain = test::random_bytes(rng, size);
    Buffer packed = Buffer::allocate(size + 1);
    EXPECT_EQ(compress_lz4(plain, packed.mutable_span()), 0u) << size;
  }
}

TEST(Compress, TheProbeTellsTextFromNoise) {
  Rng rng(3);
  EXPECT_FALSE(looks_compressible(test::random_bytes(rng, 131'072)));
  EXPECT_TRUE(looks_compressible(test::text_like(rng, 131'072)));
  Buffer half = test::random_bytes(rng, 131'072);
  std::memset(half.data() + 65'536, 0, 65'536);
  EXPECT_TRUE(looks_compressible(half));
}

TEST(Compress, RefusesAnythingButABlockOfTheRightLength) {
  Rng rng(4);
  const Buffer plain = test::text_like(rng, 20'000);
  Buffer packed = Buffer::allocate(compressed_room(plain.size()));
  const ByteSpan block = packed.span().first(compress_lz4(plain, packed.mutable_span()));
  Buffer shorter = Buffer::allocate(plain.size() - 1);
  Buffer longer = Buffer::allocate(plain.size() + 1);
  Buffer right = Buffer::allocate(plain.size());
  EXPECT_EQ(decompress_lz4(block, shorter.mutable_span()).error().code, Errc::corrupt);
  EXPECT_EQ(decompress_lz4(block, longer.mutable_span()).error().code, Errc::corrupt);
  EXPECT_EQ(decompress_lz4(block.first(block.size() / 2), right.mutable_span()).error().code, Errc::corrupt);
  EXPECT_EQ(decompress_lz4({}, right.mutable_span()).error().code, Errc::corrupt);
  for (int round = 0; round < 2'000; ++round) {
    const Buffer noise = test::random_bytes(rng, between(rng, 1, 200));
    const Result<> done = decompress_lz4(noise, right.mutable_span());
    EXPECT_TRUE(done || done.error().code == Errc::corrupt);
  }
}

}  // namespace
}  // namespace claudefs::codec
