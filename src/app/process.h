// Local processes and files of the command line: the part of app/ that talks to the system directly.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "base/ids.h"
#include "base/result.h"

namespace claudefs::app {

Result<std::string> read_file(const std::string& path);
// Atomically (write aside, sync, rename), with `mode`.
Result<void> write_file(const std::string& path, const std::string& content, unsigned mode = 0644);
std::string own_executable();

// Holds an exclusive lock on `path` (made if missing) for the life of the process. Errors: locked, naming the
// holder.
Result<void> lock_for_life(const std::string& path, const std::string& what);

// Starts `arguments` in its own session, output appended to `log`; gives its pid.
Result<pid_t> start_process(const std::vector<std::string>& arguments, const std::string& log);
// The pid in `pid_file` when that process lives and its command line contains `marker`.
std::optional<pid_t> living_process(const std::string& pid_file, const std::string& marker);
// Waits until the process is gone. False when `seconds` were not enough.
bool wait_gone(pid_t pid, double seconds);
u64 resident_bytes();  // of this process
double cpu_seconds();  // that it spent, user and system
void sleep_seconds(double seconds);
double monotonic_seconds();

// A free TCP port on 127.0.0.1, and the next `count` - 1 ones free too.
Result<int> find_free_ports(int count, int from);

// Splits into a background daemon: the parent returns from ready()'s call in the child by exiting with 0, or
// prints the child's error and exits with 1. Call before any thread exists.
class Daemonizer {
 public:
  // Forks. In the parent it does not return.
  static Result<Daemonizer> detach();
  static Daemonizer foreground() { return Daemonizer(-1); }
  void ready();
  void failed(const std::string& why);

 private:
  explicit Daemonizer(int pipe) : pipe_(pipe) {}
  int pipe_;
};

// Every process: many descriptors, no core dumps of keys, logs with time to `log_file` ("" is standard
// error).
Result<void> prepare_process(const std::string& log_file, const std::string& level);

}  // namespace claudefs::app
