// Goal: the plan moves every inline byte, in pieces worth a chunk where neighbours allow, and touches little
// else.
#include "data/detail/inline_plan.h"

#include <gtest/gtest.h>

#include <random>

namespace claudefs::data {
namespace {

meta::Extent inline_at(u64 offset, u64 length) {
  return {offset, length, meta::InlineData{Buffer::zeros(length)}};
}
meta::Extent chunk_at(u64 offset, u64 length) { return {offset, length, meta::ChunkRef{}}; }

TEST(InlinePlan, JoinsWhatAdjoins) {
  EXPECT_EQ(plan_runs({inline_at(0, 100)}), (std::vector<data::Run>{{0, 1, 100}}));
  EXPECT_EQ(plan_runs({inline_at(0, 8192), inline_at(8192, 8192)}), (std::vector<data::Run>{{0, 2, 16384}}));
  // A small piece after much: the neighbour comes along. Not one beyond a hole.
  EXPECT_EQ(plan_runs({chunk_at(0, 65536), inline_at(65536, 10)}), (std::vector<data::Run>{{0, 2, 65546}}));
  EXPECT_EQ(plan_runs({inline_at(0, 10), chunk_at(10, 65536)}), (std::vector<data::Run>{{0, 2, 65546}}));
  EXPECT_EQ(plan_runs({chunk_at(0, 65536), inline_at(70000, 10)}), (std::vector<data::Run>{{1, 2, 10}}));
  // Enough by itself: neighbours stay.
  EXPECT_EQ(plan_runs({chunk_at(0, 65536), inline_at(65536, 5000)}), (std::vector<data::Run>{{1, 2, 5000}}));
  EXPECT_EQ(plan_runs({chunk_at(0, 1000), chunk_at(1000, 1000)}), std::vector<data::Run>());
}

TEST(InlinePlan, HoldsItsPromisesOnRandomFiles) {
  for (u64 seed = 0; seed < 500; ++seed) {
    std::mt19937_64 random(seed);
    std::vector<meta::Extent> extents;
    u64 at = 0;
    for (int i = 0; i < 30; ++i) {
      if (random() % 4 == 0) at += random() % 5000 + 1;
      const u64 length = random() % (random() % 2 == 0 ? 3000 : 9000) + 1;
      extents.push_back(random() % 2 == 0 ? inline_at(at, length) : chunk_at(at, length));
      at += length;
    }
    std::vector<bool> covered(extents.size());
    std::size_t end = 0;
    for (const data::Run& run : plan_runs(extents)) {
      ASSERT_GE(run.first, end);
      ASSERT_GT(run.end, run.first);
      end = run.end;
      u64 length = 0;
      for (std::size_t i = run.first; i < run.end; ++i) {
        covered[i] = true;
        length += extents[i].length;
        if (i > run.first) {
          ASSERT_EQ(extents[i - 1].offset + extents[i - 1].length, extents[i].offset);
        }
      }
      ASSERT_EQ(length, run.length);
    }
    for (std::size_t i = 0; i < extents.size(); ++i) {
      if (std::holds_alternative<meta::InlineData>(extents[i].content))
        EXPECT_TRUE(covered[i]) << seed << " " << i;
    }
  }
}

}  // namespace
}  // namespace claudefs::data
