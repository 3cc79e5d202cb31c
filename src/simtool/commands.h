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

struct CrashOptions {
  unsigned ops = 1;
  unsigned servers = 1;
  u64 sample = 0;  // of the workloads of so many operations; 0: all
  u64 from = 1;    // seeds the sample
  double minutes = 0;
  unsigned jobs = 0;
  std::string workload;      // one, by the names or numbers of its operations
  std::optional<u64> state;  // of it, with a trace
  std::string mutant;
  bool list = false, logs = false, json = false;
};
int crash_command(const CrashOptions& options);

struct DamageOptions {
  u64 count = 200;
  u64 from = 1;
  unsigned jobs = 0;
  std::optional<u64> seed;  // one drill, with a trace
  u64 each = 40;            // damages of one drill
  std::string mutant;
  bool logs = false, json = false;
};
int damage_command(const DamageOptions& options);

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

// Switches a seeded bug on, all others off; none: "". False, and a line on standard error, when there is none
// of that name.
bool select_mutant(const std::string& name);
void print_logs();  // of servers and clients, from now on
unsigned jobs_or_cores(unsigned jobs);
double wall_seconds();

}  // namespace claudefs::simtool
