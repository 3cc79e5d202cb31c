#include <algorithm>

#include <cstdio>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/mutant.h"
#include "base/probe.h"
#include "simtool/commands.h"
#include "simtool/worker.h"

namespace claudefs::simtool {

#ifdef CLAUDEFS_MUTANTS
namespace {

struct Killed {
  bool killed = false;
  u64 seed = 0, seeds = 0;
  double seconds = 0;  // of processor time
  bool dense = false;
  std::string how;
};

// A seed that fails without the bug proves nothing about it.
bool passes_without(WorkItem item, const WorkLimits& limits) {
  item.mutant.clear();
  bool given = false, passes = false;
  run_all(
      limits,
      [&]() -> std::optional<WorkItem> {
        if (std::exchange(given, true)) return std::nullopt;
        return item;
      },
      [&](const WorkItem&, const WorkResult& result) {
        passes = result.report.violations.empty();
        return true;
      });
  return passes;
}

// Dense and mixed seeds by turns: some bugs need many operations, some need time to pass.
Killed hunt(const std::string& name, const KillOptions& options) {
  Killed out;
  u64 given = 0;
  WorkLimits limits;
  limits.jobs = jobs_or_cores(options.jobs);
  limits.quiet = true;
  limits.seconds_each = 60;
  run_all(
      limits,
      [&]() -> std::optional<WorkItem> {
        if (out.seconds > options.minutes * 60) return std::nullopt;
        const u64 seed = options.from + given / 2;
        WorkItem item;
        item.plan = given++ % 2 == 0 ? simulator::draw_dense_plan(seed) : simulator::draw_plan(seed);
        item.mutant = name;
        return item;
      },
      [&](const WorkItem& item, const WorkResult& result) {
        ++out.seeds;
        out.seconds += result.seconds;
        if (result.report.violations.empty() || !passes_without(item, limits)) return true;
        out.killed = true;
        out.seed = item.plan.seed;
        out.dense = item.plan.dense;
        out.how = result.report.violations.front();
        return false;
      });
  return out;
}

}  // namespace

int list_mutants() {
  for (const Mutant* mutant : Mutant::all()) fmt::print("{:40} {}\n", mutant->name(), mutant->what());
  return 0;
}

int kill_mutants(const KillOptions& options) {
  std::vector<std::string> names = options.names;
  if (options.all)
    for (const Mutant* mutant : Mutant::all()) names.emplace_back(mutant->name());
  if (names.empty()) {
    fmt::print(stderr, "name a mutant (claudefs-sim mutants list), or say --all\n");
    return 2;
  }
  for (const std::string& name : names)
    if (!Mutant::select(name)) {
      fmt::print(stderr, "there is no mutant '{}'; see claudefs-sim mutants list\n", name);
      return 2;
    }
  nlohmann::json table = nlohmann::json::array();
  std::vector<double> times;
  unsigned alive = 0;
  for (const std::string& name : names) {
    const Killed killed = hunt(name, options);
    alive += !killed.killed;
    times.push_back(killed.seconds);
    if (options.json)
      table.push_back({{"mutant", name},
                       {"killed", killed.killed},
                       {"core_seconds", killed.seconds},
                       {"seed", killed.seed},
                       {"seeds", killed.seeds},
                       {"how", killed.how}});
    else
      fmt::print("{:40} {} {:7.1f} core-s, {:3} seeds{}\n", name, killed.killed ? "killed" : "ALIVE ",
                 killed.seconds, killed.seeds,
                 killed.killed ? fmt::format(", seed {}{}: {}", killed.seed, killed.dense ? " --dense" : "",
                                             killed.how.substr(0, 140))
                               : "");
    std::fflush(stdout);
  }
  if (options.json) fmt::print("{}\n", table.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  std::sort(times.begin(), times.end());
  fmt::print(options.json ? stderr : stdout, "{} mutants, {} killed, median {:.1f} core-seconds\n",
             names.size(), names.size() - alive, times[times.size() / 2]);
  return alive == 0 ? 0 : 1;
}

int show_probes(const ProbeOptions& options) {
  std::map<std::string, u64> hits;
  for (const Probe* probe : Probe::all()) hits[std::string(probe->name())] = 0;
  u64 given = 0;
  WorkLimits limits;
  limits.jobs = jobs_or_cores(options.jobs);
  bool failed = false;
  run_all(
      limits,
      [&]() -> std::optional<WorkItem> {
        if (given == options.seeds) return std::nullopt;
        WorkItem item;
        item.plan =
            given % 2 == 0 ? simulator::draw_dense_plan(1 + given / 2) : simulator::draw_plan(1 + given / 2);
        ++given;
        return item;
      },
      [&](const WorkItem&, const WorkResult& result) {
        for (const auto& [name, count] : result.report.probes) hits[name] += count;
        failed |= !result.report.violations.empty();
        return true;
      });
  if (options.json) {
    fmt::print("{}\n", nlohmann::json(hits).dump(2));
  } else {
    for (const auto& [name, count] : hits)
      fmt::print("{:40} {}\n", name, count == 0 ? "NEVER" : std::to_string(count));
  }
  if (failed) fmt::print(stderr, "some seeds had violations: claudefs-sim run shows them\n");
  return failed ? 1 : 0;
}

#else

namespace {
int no_mutants() {
  fmt::print(stderr, "this build has no mutants and no probes; build the preset `sim`\n");
  return 2;
}
}  // namespace
int list_mutants() { return no_mutants(); }
int kill_mutants(const KillOptions&) { return no_mutants(); }
int show_probes(const ProbeOptions&) { return no_mutants(); }

#endif

}  // namespace claudefs::simtool
