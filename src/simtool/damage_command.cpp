// claudefs-sim damage: docs/simulator.md, "Damage at rest".
#include <cstdio>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "simtool/children.h"
#include "simtool/commands.h"
#include "simulator/damage_drill.h"

namespace claudefs::simtool {
namespace {

using simulator::DamageReport;
using simulator::DamageRow;

constexpr double kSecondsEach = 600;  // of processor time, a cluster

std::string encode(const DamageReport& report) {
  nlohmann::json out = {{"rows", nlohmann::json::object()}, {"violations", report.violations}};
  for (const auto& [name, row] : report.rows)
    out["rows"][name] = {row.planted, row.found, row.mended, row.unused};
  return out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}
DamageReport decode(const ChildResult& child) {
  DamageReport out;
  if (!child.failure.empty()) {
    out.violations.push_back(child.failure);
    return out;
  }
  const nlohmann::json in = nlohmann::json::parse(child.answer);
  for (const auto& [name, row] : in["rows"].items()) out.rows[name] = {row[0], row[1], row[2], row[3]};
  out.violations = in["violations"].get<std::vector<std::string>>();
  return out;
}

struct Totals {
  std::map<std::string, DamageRow> rows;
  DamageRow sum;
  u64 clusters = 0;
  double seconds = 0;
  std::vector<std::pair<u64, std::string>> violations;  // seed, text

  static void add(DamageRow& to, const DamageRow& row) {
    to.planted += row.planted;
    to.found += row.found;
    to.mended += row.mended;
    to.unused += row.unused;
  }
  void add(u64 seed, const DamageReport& report, double took) {
    ++clusters;
    seconds += took;
    for (const auto& [name, row] : report.rows) {
      add(rows[name], row);
      add(sum, row);
    }
    for (const std::string& violation : report.violations) violations.emplace_back(seed, violation);
  }
  void print(bool as_json) const {
    if (as_json) return print_json();
    fmt::print("{:48} {:>8} {:>8} {:>8} {:>8}\n", "damaged", "times", "found", "mended", "unused");
    for (const auto& [name, row] : rows)
      fmt::print("{:48} {:8} {:8} {:8} {:8}\n", name, row.planted, row.found, row.mended, row.unused);
    fmt::print("{:48} {:8} {:8} {:8} {:8}\n", "all", sum.planted, sum.found, sum.mended, sum.unused);
    fmt::print("{} clusters, {} violations, {:.1f} core-seconds\n", clusters, violations.size(), seconds);
  }
  void print_json() const {
    nlohmann::json out = {{"planted", sum.planted}, {"found", sum.found},   {"mended", sum.mended},
                          {"unused", sum.unused},   {"clusters", clusters}, {"core_seconds", seconds}};
    for (const auto& [name, row] : rows)
      out["rows"][name] = {
          {"planted", row.planted}, {"found", row.found}, {"mended", row.mended}, {"unused", row.unused}};
    out["violations"] = nlohmann::json::array();
    for (const auto& [seed, text] : violations) out["violations"].push_back({{"seed", seed}, {"text", text}});
    fmt::print("{}\n", out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  }
};

}  // namespace

int damage_command(const DamageOptions& options) {
  if (!select_mutant(options.mutant)) return 2;
  if (options.logs) print_logs();
  simulator::Trace trace;
  if (options.seed) trace = [](std::string line) { fmt::print("{}\n", line); };
  const u64 first = options.seed.value_or(options.from);
  u64 left = options.seed ? std::min(options.each, options.count) : options.count;
  u64 next = first;
  ChildLimits limits;
  limits.jobs = jobs_or_cores(options.jobs);
  limits.seconds_each = kSecondsEach;
  Totals totals;
  run_children(
      limits,
      [&]() -> std::optional<ChildJob> {
        if (left == 0) return std::nullopt;
        const u64 count = std::min(left, options.each);
        left -= count;
        const u64 seed = next++;
        return ChildJob{seed, [&trace, seed, count] {
                          const std::string answer = encode(simulator::damage_drill(seed, count, trace));
                          std::fflush(stdout);
                          return answer;
                        }};
      },
      [&](u64 seed, const ChildResult& child) {
        const DamageReport report = decode(child);
        totals.add(seed, report, child.seconds);
        for (const std::string& violation : report.violations)
          fmt::print(options.json ? stderr : stdout, "FAILED seed {}: {}\n", seed, violation);
        return true;
      });
  totals.print(options.json);
  return totals.violations.empty() ? 0 : 1;
}

}  // namespace claudefs::simtool
