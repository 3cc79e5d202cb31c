// SIGTERM and SIGINT, brought to the event loop. A handler writes the number into a pipe: unlike a
// signalfd this needs no signal mask in threads that libraries start. One per process at a time.
#pragma once

#include <signal.h>

#include <functional>
#include <memory>

#include "runtime/detail/descriptor.h"
#include "runtime/detail/uring_loop.h"

namespace claudefs::runtime::detail {

class SignalWatch {
 public:
  SignalWatch(UringLoop& loop, std::function<void(int)> handler);
  ~SignalWatch();
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

 private:
  Task<void> watch();
  UringLoop& loop_;
  std::function<void(int)> handler_;
  Descriptor read_end_;
  Descriptor write_end_;
  struct sigaction before_[2]{};
  Scope scope_;
};

}  // namespace claudefs::runtime::detail
