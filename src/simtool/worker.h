// Runs seeds in child processes, so that a check that fails, a crash or a hang of the code under test is a
// result like any other.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "simtool/children.h"
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

using WorkLimits = ChildLimits;

// Takes items from `next` until it gives nothing; results come in the order of their ending. Ends early when
// `done` returns false.
void run_all(const WorkLimits& limits, const std::function<std::optional<WorkItem>()>& next,
             const std::function<bool(const WorkItem&, const WorkResult&)>& done);

// One item in a child.
WorkResult run_one(const WorkItem& item, const WorkLimits& limits);

// One run in this process.
WorkResult run_here(const WorkItem& item, const simulator::Trace& trace = {});

}  // namespace claudefs::simtool
