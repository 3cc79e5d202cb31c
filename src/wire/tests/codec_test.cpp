// Goal: what is encoded decodes to the same, across versions; damage is refused, never undefined behaviour.
#include "wire/codec.h"

#include <gtest/gtest.h>

#include <random>

namespace claudefs::wire {
namespace {

struct Inner {
  InodeId inode;
  std::string name;
  bool operator==(const Inner&) const = default;
  static auto fields(auto& self) { return std::tie(self.inode, self.name); }
};
struct Outer {
  u64 big = 0;
  i64 negative = 0;
  u8 small = 0;
  std::optional<Inner> maybe;
  std::vector<Inner> many;
  std::variant<Inner, std::string> either;
  Buffer blob;
  bool operator==(const Outer&) const = default;
  static auto fields(auto& self) {
    return std::tie(self.big, self.negative, self.small, self.maybe, self.many, self.either, self.blob);
  }
};
Outer sample() {
  return {.big = UINT64_MAX,
          .negative = INT64_MIN,
          .small = 255,
          .maybe = Inner{InodeId{7}, "seven"},
          .many = {{InodeId{1}, ""}, {InodeId{2}, std::string(300, 'x')}},
          .either = std::string("right"),
          .blob = Buffer::copy_of("bytes")};
}

TEST(Codec, RoundTrips) { EXPECT_EQ(*decode<Outer>(encode(sample())), sample()); }

struct V1 {
  u64 a = 0;
  static auto fields(auto& self) { return std::tie(self.a); }
};
struct V2 {
  static constexpr u8 kVersion = 2;
  u64 a = 0;
  u64 b = 9;
  static auto fields(auto& self) { return std::tie(self.a, self.b); }
};
struct V3 {
  static constexpr u8 kVersion = 3;
  static constexpr u8 kLeastVersion = 3;
  u64 a = 0;
  static auto fields(auto& self) { return std::tie(self.a); }
};
TEST(Codec, OlderAndNewerPeersUnderstandEachOther) {
  EXPECT_EQ(decode<V1>(encode(V2{5, 6}))->a, 5u);
  EXPECT_EQ(decode<V2>(encode(V1{5}))->b, 9u);
  EXPECT_EQ(decode<V2>(encode(V3{5})).error().code, Errc::wrong_version);
}

TEST(Codec, EveryTruncationIsRefused) {
  const Buffer whole = encode(sample());
  for (std::size_t n = 0; n < whole.size(); ++n)
    EXPECT_EQ(decode<Outer>(whole.span().first(n)).error().code, Errc::corrupt) << n;
}

TEST(Codec, RandomDamageNeverCrashes) {
  std::mt19937_64 random(1);
  const Buffer whole = encode(sample());
  for (int i = 0; i < 20000; ++i) {
    Buffer hurt = Buffer::copy_of(whole.span());
    for (int k = 0; k < 3; ++k) hurt.data()[random() % hurt.size()] = static_cast<std::byte>(random());
    (void)decode<Outer>(hurt).has_value();
  }
}

}  // namespace
}  // namespace claudefs::wire
