// These stand in the executable, so that they come before the C library's.
#include "simtool/system_calls.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "sim/world.h"

namespace claudefs::simtool {
namespace {

bool forbidden = false;

bool is_heap(const void* caller) {
  Dl_info found{};
  return ::dladdr(caller, &found) != 0 && found.dli_fname != nullptr &&
         std::strstr(found.dli_fname, "jemalloc") != nullptr;
}

void check(const char* what, const void* caller) {
  if (!forbidden || !sim::World::is_running() || is_heap(caller)) return;
  std::fprintf(
      stderr, "claudefs-sim: simulated code called %s(); it may reach the system only through runtime::Env\n",
      what);
  std::abort();
}

}  // namespace

void forbid_system_calls() { forbidden = true; }

}  // namespace claudefs::simtool

#define CFS_CHECK_CALL(name) claudefs::simtool::check(name, __builtin_return_address(0))

extern "C" {

int clock_gettime(clockid_t clock, timespec* out) noexcept {
  CFS_CHECK_CALL("clock_gettime");
  return static_cast<int>(::syscall(SYS_clock_gettime, clock, out));
}
int gettimeofday(timeval* out, void* zone) noexcept {
  CFS_CHECK_CALL("gettimeofday");
  return static_cast<int>(::syscall(SYS_gettimeofday, out, zone));
}
time_t time(time_t* out) noexcept {
  CFS_CHECK_CALL("time");
  timespec now{};
  ::syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
  if (out != nullptr) *out = now.tv_sec;
  return now.tv_sec;
}
int nanosleep(const timespec* wanted, timespec* left) {
  CFS_CHECK_CALL("nanosleep");
  return static_cast<int>(::syscall(SYS_nanosleep, wanted, left));
}
int clock_nanosleep(clockid_t clock, int flags, const timespec* wanted, timespec* left) {
  CFS_CHECK_CALL("clock_nanosleep");
  return ::syscall(SYS_clock_nanosleep, clock, flags, wanted, left) == 0 ? 0 : errno;
}
ssize_t getrandom(void* out, size_t size, unsigned flags) {
  CFS_CHECK_CALL("getrandom");
  return ::syscall(SYS_getrandom, out, size, flags);
}
int getentropy(void* out, size_t size) {
  CFS_CHECK_CALL("getentropy");
  return ::syscall(SYS_getrandom, out, size, 0) == static_cast<long>(size) ? 0 : -1;
}
int socket(int domain, int type, int protocol) noexcept {
  CFS_CHECK_CALL("socket");
  return static_cast<int>(::syscall(SYS_socket, domain, type, protocol));
}
int open(const char* path, int flags, ...) {
  CFS_CHECK_CALL("open");
  va_list rest;
  va_start(rest, flags);
  const unsigned mode = va_arg(rest, unsigned);
  va_end(rest);
  return static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}
int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*run)(void*), void* argument) {
  CFS_CHECK_CALL("pthread_create");
  using Real = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  static const auto real = reinterpret_cast<Real>(::dlsym(RTLD_NEXT, "pthread_create"));
  return real(thread, attributes, run, argument);
}

}  // extern "C"
