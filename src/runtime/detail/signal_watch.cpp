#include "runtime/detail/signal_watch.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

namespace claudefs::runtime::detail {
namespace {

constexpr int kWatched[] = {SIGTERM, SIGINT};
std::atomic<int> signal_pipe{-1};  // the only way to reach an object from a signal handler

void on_signal_arrived(int number) {
  const int saved = errno;
  const unsigned char byte = static_cast<unsigned char>(number);
  // A full pipe drops it: a thousand of the same are waiting then.
  if (::write(signal_pipe.load(), &byte, 1) < 0) errno = 0;
  errno = saved;
}

}  // namespace

SignalWatch::SignalWatch(UringLoop& loop, std::function<void(int)> handler)
    : loop_(loop), handler_(std::move(handler)), scope_(loop) {
  int ends[2];
  CFS_CHECK(::pipe2(ends, O_CLOEXEC) == 0);
  read_end_ = Descriptor(ends[0]);
  write_end_ = Descriptor(ends[1]);
  (void)::fcntl(ends[1], F_SETFL, O_NONBLOCK);
  int none = -1;
  CFS_CHECK(signal_pipe.compare_exchange_strong(none, ends[1]));
  struct sigaction action{};
  action.sa_handler = on_signal_arrived;
  action.sa_flags = SA_RESTART;
  for (std::size_t i = 0; i < std::size(kWatched); ++i) ::sigaction(kWatched[i], &action, &before_[i]);
  scope_.spawn(watch());
}

SignalWatch::~SignalWatch() {
  for (std::size_t i = 0; i < std::size(kWatched); ++i) ::sigaction(kWatched[i], &before_[i], nullptr);
  signal_pipe.store(-1);
}

Task<void> SignalWatch::watch() {
  for (;;) {
    unsigned char number = 0;
    const int got = co_await loop_.submit(
        [&](io_uring_sqe* sqe) { io_uring_prep_read(sqe, read_end_.get(), &number, 1, 0); });
    if (got == 1) handler_(number);
  }
}

}  // namespace claudefs::runtime::detail
