// Many short random lives of a group, and proof that the checks notice planted bugs.
#include <gtest/gtest.h>

#include "core_simulator.h"

namespace claudefs::raft::testing {
namespace {

TEST(CoreSimulation, ThreeMembersStaySafeAndRecover) {
  for (u64 seed = 1; seed <= 1500; ++seed) {
    const std::string violation = CoreSimulator(seed, Faults{}).run();
    ASSERT_EQ(violation, "") << "seed " << seed;
  }
}

TEST(CoreSimulation, FiveMembersStaySafeAndRecover) {
  Faults faults;
  faults.members = 5;
  faults.crash_a_tick = 0.006;
  for (u64 seed = 1; seed <= 300; ++seed) {
    const std::string violation = CoreSimulator(seed, faults).run();
    ASSERT_EQ(violation, "") << "seed " << seed;
  }
}

TEST(CoreSimulation, ThreeMembersWhoseDisksAreReplaced) {
  for (u64 seed = 1; seed <= 600; ++seed) {
    Faults faults;
    faults.lost_disk_a_tick = 0.004;
    const std::string violation = CoreSimulator(seed, faults).run();
    ASSERT_EQ(violation, "") << "seed " << seed;
  }
}

TEST(CoreSimulation, TwoMembersWhoseDisksAreReplaced) {
  for (u64 seed = 1; seed <= 200; ++seed) {
    Faults faults;
    faults.members = 2;
    faults.lost_disk_a_tick = 0.004;
    const std::string violation = CoreSimulator(seed, faults).run();
    ASSERT_EQ(violation, "") << "seed " << seed;
  }
}

TEST(CoreSimulation, HeavyLossAndOneOrTwoMembers) {
  for (u64 seed = 1; seed <= 200; ++seed) {
    Faults faults;
    faults.members = static_cast<int>(1 + seed % 3);
    faults.loss = 0.25;
    faults.duplication = 0.2;
    ASSERT_EQ(CoreSimulator(seed, faults).run(), "") << "seed " << seed;
  }
}

// The seed at which `faults` is noticed; 0 when it is not.
u64 noticed_at(Faults faults, u64 seeds) {
  for (u64 seed = 1; seed <= seeds; ++seed)
    if (const std::string violation = CoreSimulator(seed, faults).run(); !violation.empty()) {
      ::testing::Test::RecordProperty("noticed", violation);
      return seed;
    }
  return 0;
}

TEST(CoreSimulationNotices, AnswersBeforeTheFlush) {
  Faults faults;
  faults.acknowledge_before_flush = true;
  EXPECT_NE(noticed_at(faults, 2000), 0u);
}
TEST(CoreSimulationNotices, CommitIndexOffByOne) {
  Faults faults;
  faults.sabotage = Sabotage::commit_off_by_one;
  EXPECT_NE(noticed_at(faults, 2000), 0u);
}
TEST(CoreSimulationNotices, ReplacedDisksThatVoteAtOnce) {
  Faults faults;
  faults.lost_disk_a_tick = 0.01;
  faults.sabotage = Sabotage::forget_floor;
  EXPECT_NE(noticed_at(faults, 2000), 0u);
}
TEST(CoreSimulationNotices, FollowersThatBreakTheLease) {
  Faults faults;
  faults.sabotage = Sabotage::break_faith;
  faults.proposals_a_tick = 0.03;
  faults.partition_a_tick = 0.1;
  faults.straggle = 0.05;
  EXPECT_NE(noticed_at(faults, 2000), 0u);
}

}  // namespace
}  // namespace claudefs::raft::testing
