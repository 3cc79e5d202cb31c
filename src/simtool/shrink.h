// Finds a small set of operations and faults that still fails.
#pragma once

#include <string>

#include "simtool/worker.h"

namespace claudefs::simtool {

// Prints what is left and how to run it. Status 0 when it found a failure to shrink.
int shrink_command(WorkItem item, const std::string& rerun);

// The text form of what a plan leaves out: "all but operations c.l.i,... and faults r.i,...".
std::string format_skips(const simulator::Plan& plan);
bool parse_skips(const std::string& text, simulator::Plan& plan);

}  // namespace claudefs::simtool
