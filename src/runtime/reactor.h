// The production Env: one io_uring event loop on the calling thread, a small offload pool beside it.
// app/ creates one per process; tests of real components create one per test.
#pragma once

#include <memory>

#include "runtime/env.h"

namespace claudefs::runtime {

struct ReactorOptions {
  unsigned queue_entries = 1024;
  unsigned offload_threads = 2;
};

class Reactor {
 public:
  // Errors: io_error when the kernel refuses io_uring, naming the sysctl that forbids it.
  static Result<std::unique_ptr<Reactor>> create(ReactorOptions options = {});
  virtual ~Reactor() = default;
  virtual Env& env() = 0;
  // Runs until `main` ends, then returns. Signals SIGTERM and SIGINT call `on_signal`, if set, on the loop.
  virtual void run(Task<void> main) = 0;
  virtual void on_signal(std::function<void(int)> handler) = 0;
  // A packet device over an open descriptor (/dev/fuse); takes ownership of it.
  virtual std::unique_ptr<PacketDevice> packet_device(int descriptor) = 0;
};

}  // namespace claudefs::runtime
