#include "simtool/worker.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/mutant.h"

namespace claudefs::simtool {
namespace {

constexpr double kWallFactor = 20;  // the machine may have other work

double clock_seconds(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}
double wall_seconds() { return clock_seconds(CLOCK_MONOTONIC); }

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

struct Child {
  pid_t pid = 0;
  int pipe = -1;
  double began = 0;
  WorkItem item;
  std::string answer;
};

Child start(WorkItem item, const WorkLimits& limits) {
  int ends[2];
  if (::pipe(ends) != 0) std::abort();
  Child child;
  child.began = wall_seconds();
  child.item = std::move(item);
  std::fflush(nullptr);
  child.pid = ::fork();
  if (child.pid < 0) std::abort();
  if (child.pid == 0) {
    ::close(ends[0]);
    const auto most = static_cast<rlim_t>(limits.seconds_each);
    const rlimit processor{most, most};
    ::setrlimit(RLIMIT_CPU, &processor);
    if (limits.quiet) {
      const int nowhere = ::open("/dev/null", O_WRONLY);
      ::dup2(nowhere, 2);
    }
    const std::string answer = encode(run_here(child.item));
    for (std::size_t at = 0; at < answer.size();) {
      const ssize_t count = ::write(ends[1], answer.data() + at, answer.size() - at);
      if (count <= 0) ::_exit(3);
      at += static_cast<std::size_t>(count);
    }
    ::_exit(0);
  }
  ::close(ends[1]);
  child.pipe = ends[0];
  return child;
}

WorkResult result_of(Child& child) {
  int status = 0;
  rusage used{};
  ::wait4(child.pid, &status, 0, &used);
  ::close(child.pipe);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && !child.answer.empty()) return decode(child.answer);
  WorkResult result;
  result.report.seed = child.item.plan.seed;
  result.seconds = static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec);
  result.report.violations.push_back(
      WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL
          ? fmt::format("the run was killed after {:.0f} s: it hangs, or is far too slow", result.seconds)
      : WIFSIGNALED(status)
          ? fmt::format("the run died of signal {}: a check failed; --seed shows where", WTERMSIG(status))
          : fmt::format("the run ended with status {}", WEXITSTATUS(status)));
  return result;
}

// True when the child has ended.
bool read_some(Child& child) {
  char bytes[65536];
  const ssize_t count = ::read(child.pipe, bytes, sizeof bytes);
  if (count > 0) child.answer.append(bytes, static_cast<std::size_t>(count));
  return count <= 0;
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

double processor_seconds_of(const std::vector<std::string>& command, bool& succeeded) {
  std::vector<char*> words;
  for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  const pid_t child = ::fork();
  if (child < 0) std::abort();
  if (child == 0) {
    const int nowhere = ::open("/dev/null", O_WRONLY);
    ::dup2(nowhere, 1);
    ::dup2(nowhere, 2);
    ::execv(words[0], words.data());
    ::_exit(127);
  }
  int status = 0;
  rusage used{};
  ::wait4(child, &status, 0, &used);
  succeeded = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

WorkResult run_here(const WorkItem& item, const simulator::Trace& trace) {
#ifdef CLAUDEFS_MUTANTS
  Mutant::select(item.mutant);
#endif
  const double began = clock_seconds(CLOCK_PROCESS_CPUTIME_ID);
  WorkResult result;
  result.report = simulator::run(item.plan, trace);
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
  std::vector<Child> children;
  bool more = true;
  bool go_on = true;
  while (go_on) {
    while (more && children.size() < limits.jobs) {
      std::optional<WorkItem> item = next();
      if (!item) {
        more = false;
        break;
      }
      children.push_back(start(std::move(*item), limits));
    }
    if (children.empty()) return;
    std::vector<pollfd> waiting;
    for (const Child& child : children) waiting.push_back({child.pipe, POLLIN, 0});
    ::poll(waiting.data(), waiting.size(), 1000);
    for (std::size_t i = children.size(); i-- > 0 && go_on;) {
      Child& child = children[i];
      if (wall_seconds() - child.began > kWallFactor * limits.seconds_each) ::kill(child.pid, SIGKILL);
      if (waiting[i].revents == 0 || !read_some(child)) continue;
      const WorkResult result = result_of(child);
      const WorkItem item = std::move(child.item);
      children.erase(children.begin() + static_cast<std::ptrdiff_t>(i));
      go_on = done(item, result);
    }
  }
  for (Child& child : children) {
    ::kill(child.pid, SIGKILL);
    (void)result_of(child);
  }
}

}  // namespace claudefs::simtool
