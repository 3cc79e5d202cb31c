// Many short random lives of a group, and proof that the checks notice planted bugs.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>

#include "base/mutant.h"
#include "core_simulator.h"
#include "seeds.h"

namespace claudefs::raft::testing {
namespace {

#ifdef CLAUDEFS_MUTANTS
constexpr u64 kSeeds = 20'000;
#endif

TEST(CoreSimulation, ThreeMembersStaySafeAndRecover) {
  for (u64 seed = 1; seed <= seeds(600); ++seed) {
    const std::string violation = CoreSimulator(seed, Faults{}).run();
    ASSERT_EQ(violation, "") << "seed " << seed;
  }
}

TEST(CoreSimulation, FiveMembersStaySafeAndRecover) {
  Faults faults;
  faults.members = 5;
  faults.crash_a_tick = 0.006;
  for (u64 seed = 1; seed <= seeds(300); ++seed) {
    const std::string violation = CoreSimulator(seed, faults).run();
    ASSERT_EQ(violation, "") << "seed " << seed;
  }
}

TEST(CoreSimulation, ThreeMembersWhoseDisksAreReplaced) {
  for (u64 seed = 1; seed <= seeds(300); ++seed) {
    Faults faults;
    faults.lost_disk_a_tick = 0.004;
    const std::string violation = CoreSimulator(seed, faults).run();
    ASSERT_EQ(violation, "") << "seed " << seed;
  }
}

TEST(CoreSimulation, TwoMembersWhoseDisksAreReplaced) {
  for (u64 seed = 1; seed <= seeds(200); ++seed) {
    Faults faults;
    faults.members = 2;
    faults.lost_disk_a_tick = 0.004;
    const std::string violation = CoreSimulator(seed, faults).run();
    ASSERT_EQ(violation, "") << "seed " << seed;
  }
}

TEST(CoreSimulation, HeavyLossAndOneOrTwoMembers) {
  for (u64 seed = 1; seed <= seeds(200); ++seed) {
    Faults faults;
    faults.members = static_cast<int>(1 + seed % 3);
    faults.loss = 0.25;
    faults.duplication = 0.2;
    ASSERT_EQ(CoreSimulator(seed, faults).run(), "") << "seed " << seed;
  }
}

TEST(CoreSimulation, ManyKindsOfTrouble) {
  for (u64 seed = 1; seed <= seeds(1200); ++seed) {
    const std::string violation = CoreSimulator(seed, Faults::swarm(seed)).run();
    ASSERT_EQ(violation, "") << "seed " << seed;
  }
}

#ifdef CLAUDEFS_MUTANTS
// Every planted bug is found by the one random search that knows none of them.
class CoreSimulationKills : public ::testing::TestWithParam<std::string> {};

TEST_P(CoreSimulationKills, TheMutant) {
  ASSERT_TRUE(Mutant::select(GetParam()));
  const auto began = std::chrono::steady_clock::now();
  u64 seed = 1;
  std::string violation;
  while (violation.empty() && seed <= kSeeds) {
    violation = CoreSimulator(seed, Faults::swarm(seed)).run();
    ++seed;
  }
  Mutant::select("");
  EXPECT_NE(violation, "") << "not noticed in " << kSeeds << " seeds";
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  fmt::print("{:<36} seed {:>6}  {:6.1f} s  {}\n", GetParam(), seed - 1, took.count(), violation);
}

std::vector<std::string> core_mutants() {
  std::vector<std::string> names;
  for (const Mutant* mutant : Mutant::all())
    if (mutant->name().starts_with("raft_") && !mutant->name().starts_with("raft_host_"))
      names.emplace_back(mutant->name());
  return names;
}
INSTANTIATE_TEST_SUITE_P(All, CoreSimulationKills, ::testing::ValuesIn(core_mutants()),
                         [](const auto& made) { return made.param; });
#endif

}  // namespace
}  // namespace claudefs::raft::testing
