// Goal: similar chunks share a feature as often as the header says, others never; the same content has the
// same sketch for ever. Method: edits of growing size to noise and text; two pinned sketches.
#include "codec/sketch.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "codec/tests/bytes.h"

namespace claudefs::codec {
namespace {

using test::between;
using test::Rng;

bool alike(const Buffer& a, const Buffer& b) {
  const std::optional<Sketch> left = sketch_chunk({}, a), right = sketch_chunk({}, b);
  if (!left || !right) return false;
  for (std::size_t i = 0; i < kSketchFeatures; ++i)
    if ((*left)[i] == (*right)[i]) return true;
  return false;
}
// Insertions and replacements of `length` bytes.
Buffer edited(Rng& rng, const Buffer& plain, int edits, std::size_t length) {
  std::string text(plain.text());
  for (int i = 0; i < edits; ++i)
    text.replace(between(rng, 0, text.size() - 1), between(rng, 0, 1) * length,
                 test::random_bytes(rng, length).text());
  return Buffer::adopt(std::move(text));
}
int of_hundred(std::size_t size, int edits, std::size_t length) {
  Rng rng(size + static_cast<std::size_t>(edits));
  int found = 0;
  for (int i = 0; i < 100; ++i) {
    const Buffer plain = i % 2 == 0 ? test::random_bytes(rng, size) : test::text_like(rng, size);
    found += alike(plain, edited(rng, plain, edits, length)) ? 1 : 0;
  }
  return found;
}

TEST(Sketch, FindsWhatWasEdited) {
  EXPECT_EQ(of_hundred(128 << 10, 0, 0), 100);
  EXPECT_GE(of_hundred(128 << 10, 1, 100), 99);
  EXPECT_GE(of_hundred(128 << 10, 10, 500), 95);
  EXPECT_GE(of_hundred(16 << 10, 2, 100), 95);
  EXPECT_GE(of_hundred(8 << 10, 1, 16), 95);
  EXPECT_GE(of_hundred(128 << 10, 60, 1000), 60);  // some two thirds are left
  EXPECT_LE(of_hundred(16 << 10, 60, 300), 40);    // hardly anything is left
}

TEST(Sketch, WhatHasNothingInCommonSharesNoFeature) {
  Rng rng(5);
  std::vector<std::uint64_t> all;
  for (int i = 0; i < 500; ++i) {
    const std::optional<Sketch> sketch = sketch_chunk({}, test::random_bytes(rng, 9'000));
    ASSERT_TRUE(sketch);
    all.insert(all.end(), sketch->begin(), sketch->end());
  }
  std::ranges::sort(all);
  EXPECT_EQ(std::ranges::adjacent_find(all), all.end());
}

TEST(Sketch, OnlyTheDomainKeyTellsIt) {
  Rng rng(6);
  const Buffer plain = test::random_bytes(rng, 20'000);
  DomainKey other;
  other.bytes[3] = std::byte{1};
  const Sketch a = sketch_chunk({}, plain).value(), b = sketch_chunk(other, plain).value();
  for (std::size_t i = 0; i < kSketchFeatures; ++i) EXPECT_NE(a[i], b[i]);
}

TEST(Sketch, ContentWithoutSampledWindowsHasNone) {
  EXPECT_FALSE(sketch_chunk({}, ByteSpan{}));
  EXPECT_FALSE(sketch_chunk({}, Buffer::zeros(63)));
  Rng rng(7);
  for (std::size_t size = 0; size < 400; ++size) (void)sketch_chunk({}, test::random_bytes(rng, size));
}

// What was entered under a feature is found by it only.
TEST(Sketch, NeverChanges) {
  Rng rng(8);
  const Sketch noise = sketch_chunk({}, test::random_bytes(rng, 100'000)).value();
  std::string counted;
  for (int i = 0; i < 5'000; ++i) counted += "line " + std::to_string(i) + "\n";
  const Sketch lines = sketch_chunk({}, as_bytes(counted)).value();
  EXPECT_EQ(noise, (Sketch{13164302037097456633u, 3644080425419561964u, 6860827777505118857u}));
  EXPECT_EQ(lines, (Sketch{12612063583300240107u, 17166595335077507003u, 13869147744037803314u}));
}

}  // namespace
}  // namespace claudefs::codec
