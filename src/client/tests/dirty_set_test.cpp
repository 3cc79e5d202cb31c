// Goal: a DirtySet holds exactly the newest byte of every place written.
// Method: random writes, erasures and merges against a plain array that remembers every byte; the array
// knows no ranges, so it cannot share a mistake with the subject.
#include "client/detail/dirty_set.h"

#include <gtest/gtest.h>

#include <optional>

#include "sim/random_stream.h"

namespace claudefs::client {
namespace {

constexpr u64 kSpace = 600;

struct Oracle {
  std::vector<std::optional<u8>> bytes = std::vector<std::optional<u8>>(kSpace);

  void write(u64 offset, const Buffer& data) {
    for (u64 i = 0; i < data.size(); ++i) bytes[offset + i] = static_cast<u8>(data.data()[i]);
  }
  void erase(u64 offset, u64 length) {
    for (u64 i = offset; i < std::min(kSpace, offset + length); ++i) bytes[i].reset();
  }
  void absorb_below(const Oracle& older) {
    for (u64 i = 0; i < kSpace; ++i)
      if (!bytes[i]) bytes[i] = older.bytes[i];
  }
  u64 count() const {
    u64 n = 0;
    for (const auto& byte : bytes) n += byte.has_value();
    return n;
  }
};

Buffer random_bytes(sim::RandomStream& random, u64 size) {
  Buffer out = Buffer::allocate(size);
  for (u64 i = 0; i < size; ++i) out.data()[i] = static_cast<std::byte>(random.next());
  return out;
}

void expect_same(const DirtySet& set, const Oracle& oracle) {
  std::vector<std::optional<u8>> seen(kSpace);
  for (const DirtySet::Piece& piece : set.in(0, kSpace))
    for (u64 i = 0; i < piece.data.size(); ++i) {
      ASSERT_FALSE(seen[piece.offset + i].has_value()) << "two pieces hold byte " << piece.offset + i;
      seen[piece.offset + i] = static_cast<u8>(piece.data.data()[i]);
    }
  ASSERT_EQ(seen, oracle.bytes);
  ASSERT_EQ(set.bytes(), oracle.count());
  ASSERT_EQ(set.empty(), oracle.count() == 0);
}

void expect_runs(const DirtySet& set, const Oracle& oracle) {
  u64 before = 0;
  for (const DirtySet::Run& run : set.runs()) {
    ASSERT_TRUE(run.offset == 0 || run.offset > before) << "runs touch";
    const Buffer bytes = set.gather(run.offset, run.length);
    for (u64 i = 0; i < run.length; ++i)
      ASSERT_EQ(static_cast<u8>(bytes.data()[i]), oracle.bytes[run.offset + i]);
    before = run.offset + run.length;
  }
}

TEST(DirtySet, AgreesWithAnArrayOfBytes) {
  for (u64 seed = 1; seed <= 150; ++seed) {
    sim::RandomStream random(seed, "dirty");
    DirtySet set, other;
    Oracle oracle, other_oracle;
    u64 append_at = 0;
    for (int step = 0; step < 120; ++step) {
      const u64 offset = random.between(0, kSpace - 1);
      const u64 length = random.between(1, std::min<u64>(kSpace - offset, random.coin() ? 8 : 200));
      switch (random.between(0, 5)) {
        case 0: {
          set.erase(offset, length);
          oracle.erase(offset, length);
          break;
        }
        case 1: {
          const Buffer data = random_bytes(random, length);
          other.write(offset, data);
          other_oracle.write(offset, data);
          break;
        }
        case 2: {
          set.absorb_below(std::exchange(other, {}));
          oracle.absorb_below(std::exchange(other_oracle, {}));
          break;
        }
        case 3: {  // a stream of small appends
          if (append_at + 5 > kSpace) append_at = 0;
          const Buffer data = random_bytes(random, 5);
          set.write(append_at, data);
          oracle.write(append_at, data);
          append_at += 5;
          break;
        }
        default: {
          const Buffer data = random_bytes(random, length);
          set.write(offset, data);
          oracle.write(offset, data);
        }
      }
      ASSERT_NO_FATAL_FAILURE(expect_same(set, oracle)) << "seed " << seed << " step " << step;
      ASSERT_NO_FATAL_FAILURE(expect_runs(set, oracle)) << "seed " << seed << " step " << step;
    }
  }
}

// What a reader was given stays what it was, whatever is written later.
TEST(DirtySet, SlicesGivenOutNeverChange) {
  DirtySet set;
  set.write(0, Buffer::copy_of("abc"));
  const std::vector<DirtySet::Piece> early = set.in(0, 10);
  set.write(3, Buffer::copy_of("def"));
  const std::vector<DirtySet::Piece> later = set.in(0, 10);
  set.write(1, Buffer::copy_of("XXXX"));
  set.truncate(2);
  set.write(2, Buffer::copy_of("zz"));
  EXPECT_EQ(early.at(0).data.text(), "abc");
  EXPECT_EQ(later.at(0).data.text(), "abcdef");
  EXPECT_EQ(set.gather(0, 4).text(), "aXzz");
}

TEST(DirtySet, TruncationAtTheEndOfTheRangeOfNumbersIsWhole) {
  DirtySet set;
  set.write(5, Buffer::copy_of("abc"));
  set.truncate(0);
  EXPECT_TRUE(set.empty());
  EXPECT_EQ(set.end(), 0u);
}

}  // namespace
}  // namespace claudefs::client
