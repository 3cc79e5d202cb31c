// The subcommands of claudefs-sim; each gives the exit status.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"

namespace claudefs::simtool {

struct RunOptions {
  std::optional<u64> seed;
  u64 seeds = 0;
  u64 from = 1;
  double minutes = 0;
  unsigned jobs = 0;  // 0: one a core
  bool dense = false, trace = false, logs = false, shrink = false, canary = false, json = false;
  std::string skip, mutant;
};
int run_command(const RunOptions& options);

struct KillOptions {
  std::vector<std::string> names;
  bool all = false;
  double minutes = 2;  // of processor time, each
  unsigned jobs = 0;
  u64 from = 1;
  bool json = false;
};
int list_mutants();
int kill_mutants(const KillOptions& options);

struct ProbeOptions {
  u64 seeds = 100;
  unsigned jobs = 0;
  bool json = false;
};
int show_probes(const ProbeOptions& options);

unsigned jobs_or_cores(unsigned jobs);
double wall_seconds();

}  // namespace claudefs::simtool
