// Power lost at every write: a handful of workloads; claudefs-sim crashes has them all.
#include <gtest/gtest.h>

#include "base/log.h"
#include "simulator/crash_tests.h"

namespace claudefs::simulator {
namespace {

std::size_t operation(std::string_view name) {
  for (std::size_t i = 0; i < operation_scripts().size(); ++i)
    if (operation_scripts()[i].name == name) return i;
  ADD_FAILURE() << name;
  return 0;
}

// Under the sanitizers a state takes a tenth of a second.
void expect_good(const CrashTests& tests, const std::vector<std::size_t>& operations, u64 states_least) {
  CrashTests::Options few;
  few.drawn = 0;
  few.again = 64;
  const CrashReport report = tests.run(operations, few);
  EXPECT_GE(report.states, states_least);
  for (const std::string& violation : report.violations) ADD_FAILURE() << violation;
}

TEST(CrashTests, power_is_lost_at_every_write) {
  log::set_sink([](log::Level, std::string_view) {});
  const CrashTests tests(1);
  expect_good(tests, {operation("rename over")}, 10);
  expect_good(tests, {operation("write new large")}, 10);
}

}  // namespace
}  // namespace claudefs::simulator
