#include "simtool/shrink.h"

#include <algorithm>
#include <cstdio>

#include <fmt/format.h>

#include "simtool/commands.h"

namespace claudefs::simtool {
namespace {

constexpr double kMinutes = 10;

// What a violation is about, without its numbers: only the same kind of failure counts while shrinking.
std::string kind_of(const simulator::Report& report) {
  if (report.violations.empty()) return "";
  const std::string& text = report.violations.front();
  const std::size_t after = text.find(" s: ");
  std::string out;
  for (const char c : text.substr(after == std::string::npos ? 0 : after + 4)) {
    if (out.size() > 24) break;
    if ((c < '0' || c > '9') && c != '#') out.push_back(c);
  }
  return out;
}

std::optional<WorkResult> try_plan(const WorkItem& item, const std::string& kind) {
  WorkLimits limits;
  limits.quiet = true;
  limits.seconds_each = 60;
  WorkResult result = run_one(item, limits);
  const bool fails = !result.report.violations.empty() && (kind.empty() || kind_of(result.report) == kind);
  return fails ? std::optional(std::move(result)) : std::nullopt;
}

// Leaves out pieces of `parts` (ddmin): halves first, then smaller ones, while it still fails.
template <class Part, class Leave>
void minimise(std::vector<Part> parts, WorkItem& item, const std::string& kind, double end, Leave leave) {
  std::size_t piece = std::max<std::size_t>(1, parts.size() / 2);
  while (!parts.empty() && wall_seconds() < end) {
    bool any = false;
    for (std::size_t at = 0; at < parts.size() && wall_seconds() < end;) {
      const std::size_t count = std::min(piece, parts.size() - at);
      WorkItem smaller = item;
      for (std::size_t i = 0; i < count; ++i) leave(smaller.plan, parts[at + i]);
      if (try_plan(smaller, kind)) {
        item = std::move(smaller);
        parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(at),
                    parts.begin() + static_cast<std::ptrdiff_t>(at + count));
        any = true;
      } else {
        at += count;
      }
    }
    if (piece == 1 && !any) return;
    if (!any || piece > parts.size()) piece = std::max<std::size_t>(1, piece / 2);
  }
}

}  // namespace

std::string format_skips(const simulator::Plan& plan) {
  std::string out;
  for (const auto& [client, lane, index] : plan.skip_operations)
    out += fmt::format("o{}.{}.{},", client, lane, index);
  for (const auto& [round, index] : plan.skip_faults) out += fmt::format("f{}.{},", round, index);
  return out;
}

bool parse_skips(const std::string& text, simulator::Plan& plan) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    const std::string part = text.substr(at, end - at);
    unsigned a = 0, b = 0, c = 0;
    if (std::sscanf(part.c_str(), "o%u.%u.%u", &a, &b, &c) == 3)
      plan.skip_operations.insert({a, b, c});
    else if (std::sscanf(part.c_str(), "f%u.%u", &a, &b) == 2)
      plan.skip_faults.insert({a, b});
    else
      return false;
    at = end + 1;
  }
  return true;
}

int shrink_command(WorkItem item, const std::string& rerun) {
  const std::optional<WorkResult> first = try_plan(item, "");
  if (!first) {
    fmt::print("it does not fail: nothing to shrink\n");
    return 1;
  }
  const std::string kind = kind_of(first->report);
  const double end = wall_seconds() + kMinutes * 60;
  fmt::print("{} operations, {} faults: {}\n", first->report.operations_begun.size(),
             first->report.faults_begun.size(), first->report.violations.front());
  std::fflush(stdout);
  minimise(first->report.operations_begun, item, kind, end,
           [](simulator::Plan& plan, const auto& part) { plan.skip_operations.insert(part); });
  minimise(first->report.faults_begun, item, kind, end,
           [](simulator::Plan& plan, const auto& part) { plan.skip_faults.insert(part); });
  const std::optional<WorkResult> last = try_plan(item, "");
  if (!last) {
    fmt::print("it no longer fails: not deterministic\n");
    return 1;
  }
  fmt::print("left: {} operations, {} faults: {}\n", last->report.operations_begun.size(),
             last->report.faults_begun.size(), last->report.violations.front());
  fmt::print("{} --trace --skip {}\n", rerun, format_skips(item.plan));
  return 0;
}

}  // namespace claudefs::simtool
