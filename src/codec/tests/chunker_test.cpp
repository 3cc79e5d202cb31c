// Goal: cuts depend on content alone, keep the limits, and find their way back after an edit.
// Method: compare with a plain byte-by-byte cutter that hashes its 64-byte window afresh at each position.
#include "codec/chunker.h"

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "codec/chunk_hash.h"
#include "codec/tests/bytes.h"

namespace claudefs::codec {
namespace {

using test::between;
using test::Rng;

std::vector<std::size_t> cuts_of(Chunker chunker, ByteSpan stream) {
  std::vector<std::size_t> out;
  while (!stream.empty()) {
    out.push_back(chunker.next_cut(stream, true));
    stream = stream.subspan(out.back());
  }
  return out;
}

// Hands the stream over in random pieces, as a writer would.
std::vector<std::size_t> cuts_of_pieces(Rng& rng, Chunker chunker, ByteSpan stream, std::size_t piece_max) {
  std::vector<std::size_t> out;
  std::size_t begin = 0;
  std::size_t end = 0;
  while (begin < stream.size()) {
    const std::size_t cut = chunker.next_cut(stream.subspan(begin, end - begin), end == stream.size());
    if (cut == 0) {
      EXPECT_LT(end - begin, chunker.limits().most);
      end = std::min(stream.size(), end + between(rng, 0, piece_max));
      continue;
    }
    out.push_back(cut);
    begin += cut;
  }
  return out;
}

// The gear table, read out of the chunker's contract: SplitMix64 from a fixed seed.
std::uint64_t gear(std::uint8_t value) {
  std::uint64_t z = 0x436c617564654653 + (value + std::uint64_t{1}) * 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}
std::size_t plain_cut(const ChunkLimits& limits, ByteSpan data) {
  std::size_t bits = 0;
  while ((std::size_t{1} << bits) < limits.target) ++bits;
  const std::size_t early_end = limits.least + (limits.target - limits.least) / 4 * 3;
  for (std::size_t length = limits.least + 1; length <= data.size() && length < limits.most; ++length) {
    std::uint64_t hash = 0;
    for (std::size_t back = 0; back < 64 && back < length - limits.least; ++back)
      hash += gear(static_cast<std::uint8_t>(data[length - 1 - back])) << back;
    if (hash >> (64 - (length <= early_end ? bits : bits - 2)) == 0) return length;
  }
  return std::min(data.size(), limits.most);
}

TEST(Chunker, AgreesWithAPlainCutter) {
  Rng rng(1);
  for (int round = 0; round < 20; ++round) {
    ChunkLimits limits{.least = between(rng, 64, 300), .target = 512, .most = between(rng, 512, 2000)};
    if (round % 2 == 0) limits.target = 8'192, limits.most = between(rng, 8'192, 30'000);
    const Buffer stream = test::random_bytes(rng, between(rng, 0, 100'000));
    ByteSpan rest = stream;
    for (const std::size_t cut : cuts_of(Chunker(limits), stream)) {
      ASSERT_EQ(cut, plain_cut(limits, rest)) << "at " << stream.size() - rest.size();
      rest = rest.subspan(cut);
    }
  }
}

TEST(Chunker, HowTheStreamIsHandedOverChangesNothing) {
  Rng rng(2);
  for (const std::size_t piece_max : {1, 7, 1'000, 100'000}) {
    const ChunkLimits limits{.least = 256, .target = 1024, .most = 4096};
    const Buffer stream = test::random_bytes(rng, piece_max * 20 + 5'000);
    EXPECT_EQ(cuts_of_pieces(rng, Chunker(limits), stream, piece_max), cuts_of(Chunker(limits), stream));
  }
  const Buffer stream = test::random_bytes(rng, 3 << 20);
  EXPECT_EQ(cuts_of_pieces(rng, Chunker(), stream, 90'000), cuts_of(Chunker(), stream));
}

TEST(Chunker, DefaultChunksKeepTheLimitsAndAverageNearTheTarget) {
  Rng rng(3);
  const Buffer stream = test::random_bytes(rng, 32 << 20);
  const std::vector<std::size_t> cuts = cuts_of(Chunker(), stream);
  for (std::size_t i = 0; i + 1 < cuts.size(); ++i) {
    EXPECT_GT(cuts[i], 64u << 10);
    EXPECT_LE(cuts[i], 256u << 10);
  }
  const std::size_t average = stream.size() / cuts.size();
  EXPECT_GT(average, 115u << 10);
  EXPECT_LT(average, 140u << 10);
}

// Stored data deduplicates only against cuts at the same places.
TEST(Chunker, CutsAreTheSameInEveryRelease) {
  Rng rng(4);
  const Buffer stream = test::random_bytes(rng, 1 << 20);
  const std::vector<std::size_t> expected{118234, 72666,  140147, 117151, 108254,
                                          80150,  115390, 161351, 68413,  66820};
  EXPECT_EQ(cuts_of(Chunker(), stream), expected);
}

TEST(Chunker, ContentThatNeverCutsIsCutAtTheUpperLimit) {
  const Buffer zeros = Buffer::zeros(600 << 10);
  EXPECT_EQ(cuts_of(Chunker(), zeros), (std::vector<std::size_t>{256 << 10, 256 << 10, 88 << 10}));
}

TEST(Chunker, AnInsertionLeavesMostChunksAsTheyWere) {
  Rng rng(5);
  const Buffer before = test::random_bytes(rng, 8 << 20);
  const std::size_t at = before.size() / 2;
  std::vector<std::byte> after(before.span().begin(), before.span().end());
  after.insert(after.begin() + static_cast<std::ptrdiff_t>(at), 100, std::byte{7});

  DomainKey domain;
  std::map<ChunkHash, int> seen;
  std::size_t begin = 0;
  for (const std::size_t cut : cuts_of(Chunker(), before)) {
    ++seen[hash_chunk(domain, before.span().subspan(begin, cut))];
    begin += cut;
  }
  std::size_t fresh = 0;
  begin = 0;
  for (const std::size_t cut : cuts_of(Chunker(), after)) {
    fresh += seen.contains(hash_chunk(domain, ByteSpan(after).subspan(begin, cut))) ? 0 : cut;
    begin += cut;
  }
  EXPECT_LT(fresh, std::size_t{1} << 20);
  EXPECT_GT(fresh, 0u);
}

TEST(Chunker, ResetForgetsTheStream) {
  Rng rng(6);
  const Buffer stream = test::random_bytes(rng, 1 << 20);
  Chunker chunker;
  EXPECT_EQ(chunker.next_cut(stream.span().last(65 << 10), false), 0u);
  chunker.reset();
  EXPECT_EQ(chunker.next_cut(stream, false), Chunker().next_cut(stream, true));
  EXPECT_EQ(Chunker().next_cut({}, true), 0u);
}

}  // namespace
}  // namespace claudefs::codec
