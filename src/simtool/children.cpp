#include "simtool/children.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include <fmt/format.h>

#include "simtool/commands.h"

namespace claudefs::simtool {
namespace {

constexpr double kWallFactor = 20;  // the machine may have other work

struct Child {
  u64 number = 0;
  pid_t pid = 0;
  int pipe = -1;
  double began = 0;
  std::string answer;
};

[[noreturn]] void work(const ChildJob& job, int pipe, const ChildLimits& limits) {
  const auto most = static_cast<rlim_t>(limits.seconds_each);
  const rlimit processor{most, most};
  ::setrlimit(RLIMIT_CPU, &processor);
  if (limits.quiet) {
    const int nowhere = ::open("/dev/null", O_WRONLY);
    ::dup2(nowhere, 2);
  }
  const std::string answer = job.work();
  for (std::size_t at = 0; at < answer.size();) {
    const ssize_t count = ::write(pipe, answer.data() + at, answer.size() - at);
    if (count <= 0) ::_exit(3);
    at += static_cast<std::size_t>(count);
  }
  ::_exit(0);
}

Child start(const ChildJob& job, const ChildLimits& limits) {
  int ends[2];
  if (::pipe(ends) != 0) std::abort();
  Child child;
  child.number = job.number;
  child.began = wall_seconds();
  std::fflush(nullptr);
  child.pid = ::fork();
  if (child.pid < 0) std::abort();
  if (child.pid == 0) {
    ::close(ends[0]);
    work(job, ends[1], limits);
  }
  ::close(ends[1]);
  child.pipe = ends[0];
  return child;
}

double seconds_of(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

ChildResult result_of(Child& child) {
  int status = 0;
  rusage used{};
  ::wait4(child.pid, &status, 0, &used);
  ::close(child.pipe);
  ChildResult result;
  result.seconds = seconds_of(used.ru_utime) + seconds_of(used.ru_stime);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && !child.answer.empty())
    result.answer = std::move(child.answer);
  else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
    result.failure =
        fmt::format("the run was killed after {:.0f} s: it hangs, or is far too slow", result.seconds);
  else if (WIFSIGNALED(status))
    result.failure =
        fmt::format("the run died of signal {}: a check failed; run it alone to see where", WTERMSIG(status));
  else
    result.failure = fmt::format("the run ended with status {}", WEXITSTATUS(status));
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
  return seconds_of(used.ru_utime) + seconds_of(used.ru_stime);
}

void run_children(const ChildLimits& limits, const std::function<std::optional<ChildJob>()>& next,
                  const std::function<bool(u64 number, const ChildResult&)>& done) {
  std::vector<Child> children;
  bool more = true;
  bool go_on = true;
  while (go_on) {
    while (more && children.size() < limits.jobs) {
      const std::optional<ChildJob> job = next();
      if (!job) {
        more = false;
        break;
      }
      children.push_back(start(*job, limits));
    }
    if (children.empty()) return;
    std::vector<pollfd> waiting;
    for (const Child& child : children) waiting.push_back({child.pipe, POLLIN, 0});
    ::poll(waiting.data(), waiting.size(), 1000);
    for (std::size_t i = children.size(); i-- > 0 && go_on;) {
      Child& child = children[i];
      if (wall_seconds() - child.began > kWallFactor * limits.seconds_each) ::kill(child.pid, SIGKILL);
      if (waiting[i].revents == 0 || !read_some(child)) continue;
      const ChildResult result = result_of(child);
      const u64 number = child.number;
      children.erase(children.begin() + static_cast<std::ptrdiff_t>(i));
      go_on = done(number, result);
    }
  }
  for (Child& child : children) {
    ::kill(child.pid, SIGKILL);
    (void)result_of(child);
  }
}

}  // namespace claudefs::simtool
