#include "app/process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <climits>
#include <cstring>
#include <ctime>

#include <fmt/format.h>

#include "base/heap.h"
#include "base/log.h"

namespace claudefs::app {
Result<std::string> read_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail_errno(errno, "read " + path);
  std::string out;
  char chunk[4096];
  ssize_t n;
  while ((n = ::read(fd, chunk, sizeof chunk)) > 0) out.append(chunk, static_cast<std::size_t>(n));
  const int error = errno;
  ::close(fd);
  if (n < 0) return fail_errno(error, "read " + path);
  return out;
}

Result<void> write_file(const std::string& path, const std::string& content, unsigned mode) {
  const std::string aside = fmt::format("{}.new.{}", path, ::getpid());
  const int fd = ::open(aside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
  if (fd < 0) return fail_errno(errno, "write " + path);
  std::size_t done = 0;
  while (done < content.size()) {
    const ssize_t n = ::write(fd, content.data() + done, content.size() - done);
    if (n < 0) break;
    done += static_cast<std::size_t>(n);
  }
  const bool good = done == content.size() && ::fsync(fd) == 0;
  const int error = errno;
  ::close(fd);
  if (!good || ::rename(aside.c_str(), path.c_str()) != 0)
    return fail_errno(good ? errno : error, "write " + path);
  return {};
}

std::string own_executable() {
  char path[PATH_MAX];
  const ssize_t n = ::readlink("/proc/self/exe", path, sizeof path - 1);
  return n > 0 ? std::string(path, static_cast<std::size_t>(n)) : "claudefs";
}

Result<void> lock_for_life(const std::string& path, const std::string& what) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return fail_errno(errno, "lock " + path);
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    const Result<std::string> holder = read_file(path);
    ::close(fd);
    return fail(Errc::locked, fmt::format("{} is in use by a living process (pid {}); stop it first", what,
                                          holder && !holder->empty() ? *holder : "unknown"));
  }
  const std::string pid = std::to_string(::getpid());
  if (::ftruncate(fd, 0) != 0 || ::pwrite(fd, pid.data(), pid.size(), 0) < 0)
    return fail_errno(errno, "lock " + path);
  return {};  // the descriptor stays open, and with it the lock
}

Result<pid_t> start_process(const std::vector<std::string>& arguments, const std::string& log) {
  std::vector<char*> argv;
  for (const std::string& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (out < 0) return fail_errno(errno, "open log " + log);
  int ends[2];  // closed by a successful exec: until then the process does not look like itself
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno(errno, "start " + arguments[0]);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::setsid();
    const int null = ::open("/dev/null", O_RDONLY);
    ::dup2(null, 0);
    ::dup2(out, 1);
    ::dup2(out, 2);
    ::execv(argv[0], argv.data());
    const int why = errno;
    (void)!::write(ends[1], &why, sizeof why);
    _exit(127);
  }
  ::close(out);
  ::close(ends[1]);
  int why = pid < 0 ? errno : 0;
  if (pid > 0) (void)!::read(ends[0], &why, sizeof why);
  ::close(ends[0]);
  if (why != 0) return fail_errno(why, "start " + arguments[0]);
  return pid;
}

std::optional<pid_t> living_process(const std::string& pid_file, const std::string& marker) {
  const Result<std::string> text = read_file(pid_file);
  if (!text || text->empty()) return std::nullopt;
  const pid_t pid = std::atoi(text->c_str());
  if (pid <= 0) return std::nullopt;
  ::waitpid(pid, nullptr, WNOHANG);  // ours may be a zombie
  if (::kill(pid, 0) != 0 && errno != EPERM) return std::nullopt;
  const Result<std::string> command = read_file(fmt::format("/proc/{}/cmdline", pid));
  if (!command || command->find(marker) == std::string::npos) return std::nullopt;
  return pid;
}

bool wait_gone(pid_t pid, double seconds) {
  for (const double end = monotonic_seconds() + seconds;;) {
    ::waitpid(pid, nullptr, WNOHANG);
    if (::kill(pid, 0) != 0 && errno == ESRCH) return true;
    if (monotonic_seconds() > end) return false;
    sleep_seconds(0.02);
  }
}

u64 resident_bytes() {
  const Result<std::string> text = read_file("/proc/self/statm");
  unsigned long long total = 0, resident = 0;
  if (text) std::sscanf(text->c_str(), "%llu %llu", &total, &resident);
  return resident * static_cast<u64>(::sysconf(_SC_PAGESIZE));
}

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

void sleep_seconds(double seconds) {
  timespec t{static_cast<time_t>(seconds),
             static_cast<long>((seconds - static_cast<double>(static_cast<time_t>(seconds))) * 1e9)};
  ::nanosleep(&t, nullptr);
}

double monotonic_seconds() {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

namespace {
bool port_is_free(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const int one = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool free = ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  ::close(fd);
  return free;
}
}  // namespace

Result<int> find_free_ports(int count, int from) {
  for (int base = from; base + count < 32000; base += count) {
    int free = 0;
    while (free < count && port_is_free(base + free)) ++free;
    if (free == count) return base;
  }
  return fail(Errc::address_in_use,
              fmt::format("no {} neighbouring free ports on 127.0.0.1 from {}", count, from));
}

Result<Daemonizer> Daemonizer::detach() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno(errno, "start in the background");
  const pid_t pid = ::fork();
  if (pid < 0) return fail_errno(errno, "start in the background");
  if (pid == 0) {
    ::close(ends[0]);
    ::setsid();
    give_back_in_background();
    const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    ::dup2(null, 0);
    ::dup2(null, 1);  // or a pipe that the command was part of would never end
    return Daemonizer(ends[1]);
  }
  ::close(ends[1]);
  std::string told;
  char chunk[512];
  ssize_t n;
  while ((n = ::read(ends[0], chunk, sizeof chunk)) > 0) told.append(chunk, static_cast<std::size_t>(n));
  if (told == "ready") _exit(0);
  if (told.empty()) told = "the background process ended before it was ready; see its log";
  std::fprintf(stderr, "claudefs: %s\n", told.c_str());
  _exit(1);
}

void Daemonizer::ready() {
  if (pipe_ < 0) return;
  (void)!::write(pipe_, "ready", 5);
  ::close(pipe_);
  pipe_ = -1;
}

void Daemonizer::failed(const std::string& why) {
  if (pipe_ < 0) return;
  (void)!::write(pipe_, why.data(), why.size());
  ::close(pipe_);
  pipe_ = -1;
}

Result<void> prepare_process(const std::string& log_file, const std::string& level) {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  const rlimit no_cores{0, 0};  // a core would hold keys
  ::setrlimit(RLIMIT_CORE, &no_cores);
  if (!log_file.empty()) {
    const int fd = ::open(log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0) return fail_errno(errno, "open log file " + log_file);
    ::dup2(fd, 2);
    ::close(fd);
  }
  if (level == "debug")
    log::set_level(log::Level::debug);
  else if (level == "warn")
    log::set_level(log::Level::warn);
  else if (level == "error")
    log::set_level(log::Level::error);
  log::set_sink([](log::Level at, std::string_view line) {
    timespec t{};
    ::clock_gettime(CLOCK_REALTIME, &t);
    tm parts{};
    ::gmtime_r(&t.tv_sec, &parts);
    char stamp[32];
    std::strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &parts);
    const std::string out =
        fmt::format("{}.{:03}Z {} {}\n", stamp, t.tv_nsec / 1000000, log::name_of(at), line);
    (void)!::write(2, out.data(), out.size());
  });
  return {};
}

}  // namespace claudefs::app
