#include "simtool/commands.h"

#include <time.h>
#include <unistd.h>

#include <cstdio>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "base/mutant.h"
#include "simtool/shrink.h"
#include "simtool/totals.h"
#include "simtool/worker.h"

namespace claudefs::simtool {
namespace {

std::string rerun(const RunOptions& options, u64 seed) {
  return fmt::format("claudefs-sim run --seed {}{}{}{}", seed, options.dense ? " --dense" : "",
                     options.mutant.empty() ? "" : " --mutant " + options.mutant,
                     options.canary ? " --canary" : "");
}

simulator::Plan plan_of(const RunOptions& options, u64 seed) {
  simulator::Plan plan = options.dense ? simulator::draw_dense_plan(seed) : simulator::draw_plan(seed);
  plan.wrong_oracle = options.canary;
  return plan;
}

void print_failure(const RunOptions& options, const WorkItem& item, const WorkResult& result) {
  std::FILE* out = options.json ? stderr : stdout;
  fmt::print(out, "FAILED {}\n", item.plan.to_string());
  for (const std::string& violation : result.report.violations) fmt::print(out, "  {}\n", violation);
  fmt::print(out, "  again: {} --trace; smaller: {} --shrink\n", rerun(options, item.plan.seed),
             rerun(options, item.plan.seed));
  std::fflush(out);
}

int run_one(const RunOptions& options) {
  WorkItem item;
  item.plan = plan_of(options, *options.seed);
  item.mutant = options.mutant;
  if (!options.skip.empty() && !parse_skips(options.skip, item.plan)) {
    fmt::print(stderr, "--skip: not what --shrink prints\n");
    return 2;
  }
  if (options.shrink) return shrink_command(item, rerun(options, *options.seed));
  if (options.logs) print_logs();
  simulator::Trace trace;
  if (options.trace) trace = [](std::string line) { fmt::print("{}\n", line); };
  if (!options.json) fmt::print("{}\n", item.plan.to_string());
  std::fflush(stdout);
  item.twice = !options.trace && !options.logs;
  const WorkResult result = run_here(item, trace);
  Totals totals;
  totals.add(result);
  totals.print(options.json);
  fmt::print(options.json ? stderr : stdout, "trace hash {:#x}\n", result.report.trace_hash);
  if (result.report.violations.empty()) return 0;
  print_failure(options, item, result);
  return 1;
}

}  // namespace

unsigned jobs_or_cores(unsigned jobs) {
  return jobs != 0 ? jobs : std::max(1u, static_cast<unsigned>(::sysconf(_SC_NPROCESSORS_ONLN)));
}
double wall_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

bool select_mutant(const std::string& name) {
#ifdef CLAUDEFS_MUTANTS
  if (Mutant::select(name)) return true;
  fmt::print(stderr, "there is no mutant '{}'; see claudefs-sim mutants list\n", name);
  return false;
#else
  if (name.empty()) return true;
  fmt::print(stderr, "this build has no mutants; build the preset `sim`\n");
  return false;
#endif
}
void print_logs() {
  log::set_level(log::Level::info);
  log::set_sink([](log::Level level, std::string_view line) {
    fmt::print("               {} {}\n", log::name_of(level), line);
  });
}

int run_command(const RunOptions& options) {
  if (!select_mutant(options.mutant)) return 2;
  if (options.seed) return run_one(options);
  const u64 count = options.seeds != 0 ? options.seeds : options.minutes > 0 ? ~u64{0} : 100;
  const double end = options.minutes > 0 ? wall_seconds() + options.minutes * 60 : 1e18;
  u64 given = 0;
  Totals totals;
  WorkLimits limits;
  limits.jobs = jobs_or_cores(options.jobs);
  run_all(
      limits,
      [&]() -> std::optional<WorkItem> {
        if (given == count || wall_seconds() >= end) return std::nullopt;
        WorkItem item;
        item.plan = plan_of(options, options.from + given++);
        item.mutant = options.mutant;
        item.twice = item.plan.seed % 100 == 0;
        return item;
      },
      [&](const WorkItem& item, const WorkResult& result) {
        WorkResult counted = result;
        if (!result.report.violations.empty()) {
          // A failure must be the same failure again.
          WorkItem again = item;
          again.twice = false;
          WorkLimits once = limits;
          once.quiet = true;
          bool given_again = false;
          run_all(
              once,
              [&]() -> std::optional<WorkItem> {
                if (std::exchange(given_again, true)) return std::nullopt;
                return again;
              },
              [&](const WorkItem&, const WorkResult& second) {
                if (second.report.trace_hash != result.report.trace_hash)
                  counted.report.violations.push_back(
                      "not deterministic: it went another way when it was run again");
                return true;
              });
          print_failure(options, item, counted);
        }
        totals.add(counted);
        return true;
      });
  totals.print(options.json);
  return totals.failed == 0 ? 0 : 1;
}

}  // namespace claudefs::simtool
