#include "simtool/totals.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace claudefs::simtool {

void Totals::add(const WorkResult& result) {
  const simulator::Report& report = result.report;
  ++seeds;
  failed += !report.violations.empty();
  operations += report.operations;
  lost += report.lost_operations;
  unjudged += report.namespace_unjudged;
  reads_failed += report.reads_failed;
  events += report.events;
  simulated_seconds += report.simulated_seconds;
  seconds += result.seconds;
  for (const auto& [kind, count] : report.faults) faults[kind] += count;
  for (const auto& [name, hits] : report.probes) probes[name] += hits;
  for (const std::string& violation : report.violations) violations.emplace_back(report.seed, violation);
}

void Totals::print(bool as_json) const {
  if (as_json) return print_json();
  fmt::print(
      "{} seeds, {} with violations; {:.2f} simulated hours in {:.1f} core-seconds ({:.0f} simulated hours "
      "a core-hour)\n",
      seeds, failed, simulated_seconds / 3600, seconds, speed());
  fmt::print(
      "{} operations answered, {} without a definite answer, {} reads failed during faults, {} events; {} "
      "runs too "
      "ambiguous to judge to the end\n",
      operations, lost, reads_failed, events, unjudged);
  fmt::print("faults:");
  for (const auto& [kind, count] : faults) fmt::print(" {} {};", kind, count);
  fmt::print("\n");
  const auto reached = std::ranges::count_if(probes, [](const auto& probe) { return probe.second != 0; });
  if (!probes.empty())
    fmt::print("{} of {} rare branches were reached (claudefs-sim probes names them)\n", reached,
               probes.size());
}

void Totals::print_json() const {
  nlohmann::json out;
  out["seeds"] = seeds;
  out["failed"] = failed;
  out["simulated_hours"] = simulated_seconds / 3600;
  out["core_seconds"] = seconds;
  out["simulated_hours_per_core_hour"] = speed();
  out["operations"] = operations;
  out["operations_without_answer"] = lost;
  out["reads_failed"] = reads_failed;
  out["events"] = events;
  out["runs_not_judged_to_the_end"] = unjudged;
  out["faults"] = faults;
  out["probes"] = probes;
  out["violations"] = nlohmann::json::array();
  for (const auto& [seed, text] : violations) out["violations"].push_back({{"seed", seed}, {"text", text}});
  fmt::print("{}\n", out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

}  // namespace claudefs::simtool
