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
    const std::size_t size = compress({}, plain, packed.mutable_span());
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
    EXPECT_EQ(compress({}, plain, packed.mutable_span()), 0u) << size;
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

TEST(Compress, RefusesAnythingButWhatGivesTheRightLength) {
  Rng rng(4);
  const Buffer plain = test::text_like(rng, 20'000);
  for (const Compressor by : {Compressor::lz4, Compressor::zstd}) {
    const auto decompress = by == Compressor::zstd ? decompress_zstd : decompress_lz4;
    Buffer packed = Buffer::allocate(compressed_room(plain.size()));
    const ByteSpan block = packed.span().first(compress({by, 3}, plain, packed.mutable_span()));
    Buffer shorter = Buffer::allocate(plain.size() - 1);
    Buffer longer = Buffer::allocate(plain.size() + 1);
    Buffer right = Buffer::allocate(plain.size());
    EXPECT_TRUE(decompress(block, right.mutable_span()));
    EXPECT_EQ(right, plain);
    EXPECT_EQ(decompress(block, shorter.mutable_span()).error().code, Errc::corrupt);
    EXPECT_EQ(decompress(block, longer.mutable_span()).error().code, Errc::corrupt);
    EXPECT_EQ(decompress(block.first(block.size() / 2), right.mutable_span()).error().code, Errc::corrupt);
    EXPECT_EQ(decompress({}, right.mutable_span()).error().code, Errc::corrupt);
    for (int round = 0; round < 2'000; ++round) {
      const Buffer noise = test::random_bytes(rng, between(rng, 1, 200));
      const Result<> done = decompress(noise, right.mutable_span());
      EXPECT_TRUE(done || done.error().code == Errc::corrupt);
    }
  }
}

TEST(Compress, MoreEffortMakesLess) {
  Rng rng(5);
  const Buffer plain = test::text_like(rng, 131'072);
  std::size_t last = plain.size();
  for (const Compression how : {Compression{}, {Compressor::zstd, 3}, {Compressor::zstd, kZstdLevelMost}}) {
    Buffer packed = Buffer::allocate(compressed_room(plain.size()));
    const std::size_t size = compress(how, plain, packed.mutable_span());
    EXPECT_LT(size, last);
    last = size;
  }
  Buffer packed = Buffer::allocate(compressed_room(plain.size()));
  EXPECT_EQ(compress({Compressor::none}, plain, packed.mutable_span()), 0u);
}

}  // namespace
}  // namespace claudefs::codec
