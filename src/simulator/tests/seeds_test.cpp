// A fixed handful of seeds, and those that once found a bug.
#include <gtest/gtest.h>

#include "base/log.h"
#include "simulator/run.h"

namespace claudefs::simulator {
namespace {

std::string text_of(const Plan& plan, const Report& report) {
  std::string out = plan.to_string();
  for (const std::string& violation : report.violations) out += "\n  " + violation;
  return out;
}

class Seeds : public ::testing::Test {
 protected:
  void SetUp() override {
    log::set_sink([](log::Level, std::string_view) {});
  }
};

void expect_good(const Plan& plan) {
  const Report report = run(plan);
  EXPECT_TRUE(report.violations.empty()) << text_of(plan, report);
  EXPECT_GT(report.operations, 10u);
}

TEST_F(Seeds, mixed_load) {
  for (const u64 seed : {1, 2, 5, 8}) expect_good(draw_plan(seed));
}

// mkdir whose first ids are taken; renames and unlinks whose names others change; attributes of directories
// that are just being made; a segment that was not sealed because the clock that granted it had been ahead;
// the answer to a write that was older than a rename over the file; a transaction prepared by a clock that
// was ahead.
TEST_F(Seeds, that_once_found_bugs) {
  for (const u64 seed : {4, 34}) expect_good(draw_dense_plan(seed));
  for (const u64 seed : {9, 71, 115}) expect_good(draw_plan(seed));
}

// A notice to the kernel that voids the answer to its question; a client that ends while it obeys a recall;
// two questions of the kernel, of which the older gets older attributes; a session whose late request waited
// for its successor's lease.
TEST_F(Seeds, whose_hand_overs_once_found_bugs) {
  for (const u64 seed : {10, 189, 526, 2072}) expect_good(draw_plan(seed));
  expect_good(draw_dense_plan(50));
}

TEST_F(Seeds, one_seed_is_one_run) {
  const Plan plan = draw_plan(3);
  EXPECT_EQ(run(plan).trace_hash, run(plan).trace_hash);
}

TEST_F(Seeds, a_lie_to_the_oracle_is_noticed) {
  Plan plan = draw_dense_plan(5);
  plan.wrong_oracle = true;
  EXPECT_FALSE(run(plan).violations.empty());
}

}  // namespace
}  // namespace claudefs::simulator
