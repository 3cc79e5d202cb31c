// Runs jobs in child processes, so that a check that fails, a crash or a hang of the code under test is a
// result like any other.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"

namespace claudefs::simtool {

struct ChildJob {
  u64 number = 0;
  std::function<std::string()> work;  // runs in the child; gives what the parent is told
};
struct ChildResult {
  std::string answer;
  std::string failure;  // why there is no answer; empty when there is one
  double seconds = 0;   // of processor time
};
struct ChildLimits {
  unsigned jobs = 1;
  double seconds_each = 120;  // of processor time: a child that takes more is killed, which is a failure
  bool quiet = false;         // the children's standard error goes nowhere
};

// Takes jobs from `next` until it gives nothing; results come in the order of their ending. Ends early when
// `done` returns false.
void run_children(const ChildLimits& limits, const std::function<std::optional<ChildJob>()>& next,
                  const std::function<bool(u64 number, const ChildResult&)>& done);

// Runs a program to its end, its output nowhere; true in `succeeded` for status 0. Gives its processor time.
double processor_seconds_of(const std::vector<std::string>& command, bool& succeeded);

}  // namespace claudefs::simtool
