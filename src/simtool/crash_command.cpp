// claudefs-sim crashes: docs/simulator.md, "Power lost at every write".
#include <cstdio>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "simtool/children.h"
#include "simtool/commands.h"
#include "simulator/crash_tests.h"

namespace claudefs::simtool {
namespace {

using Workload = std::vector<std::size_t>;  // operations
using simulator::CrashReport;

constexpr double kSecondsEach = 900;  // of processor time, a workload

std::string numbers_of(const Workload& workload) {
  return workload.empty() ? "-" : fmt::format("{}", fmt::join(workload, ","));
}
std::string names_of(const Workload& workload) {
  std::string out;
  for (const std::size_t operation : workload)
    out += fmt::format("{}{}", out.empty() ? "" : "; ", simulator::operation_scripts()[operation].name);
  return out.empty() ? "servers start" : out;
}

bool parse(const std::string& text, Workload& out) {
  if (text == "-") return true;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    const std::string word = text.substr(at, end - at);
    if (word.empty() || word.find_first_not_of("0123456789") != std::string::npos || word.size() > 4)
      return false;
    out.push_back(std::stoul(word));
    if (out.back() >= simulator::operation_scripts().size()) return false;
    at = end + 1;
  }
  return true;
}

// All of so many operations, or a sample of them, in an order that soon meets all operations.
std::vector<Workload> choose(const CrashOptions& options) {
  const std::size_t kinds = simulator::operation_scripts().size();
  u64 total = 1;
  for (unsigned i = 0; i < options.ops; ++i) total *= kinds;
  const u64 count = options.sample == 0 ? total : std::min(options.sample, total);
  sim::RandomStream random(options.from, "workloads");
  std::vector<u64> order(total);
  for (u64 i = 0; i < total; ++i) order[i] = i;
  for (u64 i = 0; i < count; ++i) std::swap(order[i], order[random.between(i, total - 1)]);
  std::vector<Workload> out;
  if (options.ops == 1) out.push_back({});
  for (u64 i = 0; i < count; ++i) {
    Workload workload;
    for (u64 rest = order[i]; workload.size() < options.ops; rest /= kinds) workload.push_back(rest % kinds);
    out.push_back(std::move(workload));
  }
  return out;
}

struct Totals {
  u64 workloads = 0, moments = 0, states = 0, failed = 0;
  double seconds = 0;
  std::vector<std::pair<std::string, std::string>> violations;  // workload, text

  void add(const Workload& workload, const CrashReport& report, double took) {
    ++workloads;
    moments += report.moments;
    states += report.states;
    seconds += took;
    failed += !report.violations.empty();
    for (const std::string& violation : report.violations)
      violations.emplace_back(numbers_of(workload), violation);
  }
  void print(const CrashOptions& options) const {
    const double speed = seconds > 0 ? static_cast<double>(states) / seconds : 0;
    if (!options.json) {
      fmt::print(
          "{} workloads of {} operations on {} servers: power lost at {} moments, {} crash states started "
          "from and "
          "judged; {} workloads with violations; {:.1f} core-seconds ({:.0f} states a core-second)\n",
          workloads, options.ops, options.servers, moments, states, failed, seconds, speed);
      return;
    }
    nlohmann::json out = {{"workloads", workloads},     {"operations", options.ops},
                          {"servers", options.servers}, {"moments", moments},
                          {"states", states},           {"failed", failed},
                          {"core_seconds", seconds},    {"violations", nlohmann::json::array()}};
    for (const auto& [workload, text] : violations)
      out["violations"].push_back({{"workload", workload}, {"text", text}});
    fmt::print("{}\n", out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  }
};

std::string encode(const CrashReport& report) {
  return nlohmann::json{
      {"moments", report.moments}, {"states", report.states}, {"violations", report.violations}}
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}
CrashReport decode(const ChildResult& child) {
  CrashReport out;
  if (!child.failure.empty()) {
    out.violations.push_back(child.failure);
    return out;
  }
  const nlohmann::json in = nlohmann::json::parse(child.answer);
  out.moments = in["moments"];
  out.states = in["states"];
  out.violations = in["violations"].get<std::vector<std::string>>();
  return out;
}

void print_failure(const CrashOptions& options, const Workload& workload, const CrashReport& report) {
  std::FILE* out = options.json ? stderr : stdout;
  fmt::print(out, "FAILED {} ({})\n", numbers_of(workload), names_of(workload));
  constexpr std::size_t kShown = 5;
  for (std::size_t i = 0; i < std::min(kShown, report.violations.size()); ++i)
    fmt::print(out, "  {}\n", report.violations[i]);
  if (report.violations.size() > kShown)
    fmt::print(out, "  and {} more\n", report.violations.size() - kShown);
  fmt::print(out, "  again: claudefs-sim crashes --servers {} --workload {} --state N{}\n", options.servers,
             numbers_of(workload), options.mutant.empty() ? "" : " --mutant " + options.mutant);
  std::fflush(out);
}

}  // namespace

int crash_command(const CrashOptions& options) {
  if (options.list) {
    for (std::size_t i = 0; i < simulator::operation_scripts().size(); ++i)
      fmt::print("{:3} {}\n", i, simulator::operation_scripts()[i].name);
    return 0;
  }
  std::vector<Workload> workloads;
  if (options.workload.empty()) {
    workloads = choose(options);
  } else if (!parse(options.workload, workloads.emplace_back())) {
    fmt::print(stderr, "--workload: numbers of operations are wanted, see claudefs-sim crashes --list\n");
    return 2;
  }
  simulator::CrashTests tests(options.servers);
  if (!select_mutant(options.mutant)) return 2;  // the files were made without it
  if (options.logs) print_logs();
  simulator::CrashTests::Options how;
  how.only = options.state;
  if (options.state) how.trace = [](std::string line) { fmt::print("{}\n", line); };
  const double end = options.minutes > 0 ? wall_seconds() + options.minutes * 60 : 1e18;
  ChildLimits limits;
  limits.jobs = jobs_or_cores(options.jobs);
  limits.seconds_each = kSecondsEach;
  Totals totals;
  u64 given = 0;
  run_children(
      limits,
      [&]() -> std::optional<ChildJob> {
        if (given == workloads.size() || wall_seconds() >= end) return std::nullopt;
        const u64 own = given++;
        return ChildJob{own, [&, own] {
                          const std::string answer = encode(tests.run(workloads[own], how));
                          std::fflush(stdout);
                          return answer;
                        }};
      },
      [&](u64 number, const ChildResult& child) {
        const CrashReport report = decode(child);
        totals.add(workloads[number], report, child.seconds);
        if (!report.violations.empty()) print_failure(options, workloads[number], report);
        return true;
      });
  totals.print(options);
  return totals.failed == 0 ? 0 : 1;
}

}  // namespace claudefs::simtool
