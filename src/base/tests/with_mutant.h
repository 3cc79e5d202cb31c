// For one test file of a program: CLAUDEFS_MUTANT=name runs its tests with that bug (`claudefs-sim mutants
// kill`, tools/lease-mutants).
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/mutant.h"

#ifdef CLAUDEFS_MUTANTS
namespace claudefs::testing {
class WithMutant : public ::testing::Environment {
  void SetUp() override {
    if (const char* name = std::getenv("CLAUDEFS_MUTANT")) ASSERT_TRUE(Mutant::select(name)) << name;
  }
};
[[maybe_unused]] inline const auto* const with_mutant = ::testing::AddGlobalTestEnvironment(new WithMutant);
}  // namespace claudefs::testing
#endif
