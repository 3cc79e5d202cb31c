#include "simtool/worker.h"

#include <time.h>

#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/mutant.h"

CFS_DEFINE_MUTANT(sim_reads_the_clock, "simulator: what runs in a world reads the machine's clock");

namespace claudefs::simtool {
namespace {

double clock_seconds(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

std::string encode(const WorkResult& result) {
  const simulator::Report& report = result.report;
  nlohmann::json out;
  out["seed"] = report.seed;
  out["trace_hash"] = report.trace_hash;
  out["events"] = report.events;
  out["simulated_seconds"] = report.simulated_seconds;
  out["operations"] = report.operations;
  out["lost_operations"] = report.lost_operations;
  out["reads_failed"] = report.reads_failed;
  out["unjudged"] = report.namespace_unjudged;
  out["faults"] = report.faults;
  out["probes"] = report.probes;
  out["violations"] = report.violations;
  out["operations_begun"] = report.operations_begun;
  out["faults_begun"] = report.faults_begun;
  out["seconds"] = result.seconds;
  return out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

WorkResult decode(const std::string& text) {
  const nlohmann::json in = nlohmann::json::parse(text);
  WorkResult result;
  simulator::Report& report = result.report;
  report.seed = in["seed"];
  report.trace_hash = in["trace_hash"];
  report.events = in["events"];
  report.simulated_seconds = in["simulated_seconds"];
  report.operations = in["operations"];
  report.lost_operations = in["lost_operations"];
  report.reads_failed = in["reads_failed"];
  report.namespace_unjudged = in["unjudged"];
  report.faults = in["faults"].get<std::map<std::string, u64>>();
  report.probes = in["probes"].get<std::map<std::string, u64>>();
  report.violations = in["violations"].get<std::vector<std::string>>();
  report.operations_begun = in["operations_begun"].get<decltype(report.operations_begun)>();
  report.faults_begun = in["faults_begun"].get<decltype(report.faults_begun)>();
  result.seconds = in["seconds"];
  return result;
}

WorkResult result_of(const WorkItem& item, const ChildResult& child) {
  if (child.failure.empty()) return decode(child.answer);
  WorkResult result;
  result.report.seed = item.plan.seed;
  result.seconds = child.seconds;
  result.report.violations.push_back(child.failure);
  return result;
}

}  // namespace

WorkResult run_one(const WorkItem& item, const WorkLimits& limits) {
  WorkResult out;
  bool given = false;
  run_all(
      limits,
      [&]() -> std::optional<WorkItem> {
        if (std::exchange(given, true)) return std::nullopt;
        return item;
      },
      [&](const WorkItem&, const WorkResult& result) {
        out = result;
        return true;
      });
  return out;
}

WorkResult run_here(const WorkItem& item, const simulator::Trace& trace) {
#ifdef CLAUDEFS_MUTANTS
  Mutant::select(item.mutant);
#endif
  const double began = clock_seconds(CLOCK_PROCESS_CPUTIME_ID);
  WorkResult result;
  const simulator::Trace looks_at_the_clock = [](const std::string&) { (void)clock_seconds(CLOCK_REALTIME); };
  result.report = simulator::run(item.plan, CFS_MUTANT(sim_reads_the_clock) ? looks_at_the_clock : trace);
  result.seconds = clock_seconds(CLOCK_PROCESS_CPUTIME_ID) - began;
  if (item.twice) {
    const u64 again = simulator::run(item.plan).trace_hash;
    if (again != result.report.trace_hash)
      result.report.violations.push_back(
          fmt::format("not deterministic: trace hashes {:#x} and {:#x}", result.report.trace_hash, again));
  }
  return result;
}

void run_all(const WorkLimits& limits, const std::function<std::optional<WorkItem>()>& next,
             const std::function<bool(const WorkItem&, const WorkResult&)>& done) {
  std::map<u64, WorkItem> items;
  u64 last = 0;
  run_children(
      limits,
      [&]() -> std::optional<ChildJob> {
        std::optional<WorkItem> item = next();
        if (!item) return std::nullopt;
        const WorkItem& kept = items.emplace(++last, std::move(*item)).first->second;
        return ChildJob{last, [&kept] { return encode(run_here(kept)); }};
      },
      [&](u64 number, const ChildResult& child) {
        const WorkItem item = std::move(items.extract(number).mapped());
        return done(item, result_of(item, child));
      });
}

}  // namespace claudefs::simtool
