// Runs seeds in child processes, so that a check that fails, a crash or a hang of the code under test is a
// result like any other.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "simulator/run.h"

namespace claudefs::simtool {

struct WorkItem {
  simulator::Plan plan;
  std::string mutant;  // "" for none
  bool twice = false;  // compare the trace hashes of two runs
};
struct WorkResult {
  simulator::Report report;
  double seconds = 0;  // of processor time
};

struct WorkLimits {
  unsigned jobs = 1;
  double seconds_each = 120;  // of processor time: a run that takes more is killed and counts as a violation
  bool quiet = false;         // the children's standard error goes nowhere
};

// Takes items from `next` until it gives nothing; results come in the order of their ending. Ends early when
// `done` returns false.
void run_all(const WorkLimits& limits, const std::function<std::optional<WorkItem>()>& next,
             const std::function<bool(const WorkItem&, const WorkResult&)>& done);

// One item in a child.
WorkResult run_one(const WorkItem& item, const WorkLimits& limits);

// Runs a program to its end, its output nowhere; true in `succeeded` for status 0. Gives its processor time.
double processor_seconds_of(const std::vector<std::string>& command, bool& succeeded);

// One run in this process.
WorkResult run_here(const WorkItem& item, const simulator::Trace& trace = {});

}  // namespace claudefs::simtool
