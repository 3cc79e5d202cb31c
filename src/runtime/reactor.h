// The production Env: one io_uring event loop on the calling thread, a small offload pool beside it.
// app/ creates one per process; tests of real components create one per test.
//
// Create, run and destroy a Reactor on one thread. Everything that uses its Env is destroyed before it.
// A frame that is destroyed while the kernel works for it (a read, a write, an offloaded function) waits
// for the kernel or the worker to let go, so its buffers are never written afterwards; sockets and devices
// are cancelled, so that wait is short. What is in flight when the Reactor itself goes is cancelled too.
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
  // Runs until `main` ends, then returns; may be called again.
  virtual void run(Task<void> main) = 0;
  // SIGTERM and SIGINT call `handler` with the number, on the loop. One Reactor per process at a time may
  // have one; an empty handler gives the signals back.
  virtual void on_signal(std::function<void(int)> handler) = 0;
  // A packet device over an open descriptor (/dev/fuse); takes ownership of it and makes it non-blocking.
  virtual std::unique_ptr<PacketDevice> packet_device(int descriptor) = 0;
};

}  // namespace claudefs::runtime
