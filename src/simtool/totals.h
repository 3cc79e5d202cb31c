// What many runs come to.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "simtool/worker.h"

namespace claudefs::simtool {

struct Totals {
  u64 seeds = 0, failed = 0, operations = 0, lost = 0, unjudged = 0, events = 0, reads_failed = 0;
  double simulated_seconds = 0, seconds = 0;
  std::map<std::string, u64> faults;
  std::map<std::string, u64> probes;  // hits; those never reached as well
  std::vector<std::pair<u64, std::string>> violations;

  void add(const WorkResult& result);
  void print(bool as_json) const;

 private:
  void print_json() const;
  double speed() const { return seconds > 0 ? simulated_seconds / seconds : 0; }
};

}  // namespace claudefs::simtool
