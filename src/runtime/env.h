// Env: the only door to the outside world. Production code is handed one of these and reaches clock,
// randomness, network, disks, threads and devices through nothing else; the simulator (sim/) hands out
// the same doors. One Env belongs to one executor; call it on that executor's thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/ids.h"
#include "base/result.h"
#include "runtime/executor.h"
#include "runtime/task.h"

namespace claudefs::runtime {

class Random {
 public:
  virtual ~Random() = default;
  virtual u64 next() = 0;
  // Uniform in [low, high]. Requires low <= high.
  u64 between(u64 low, u64 high) {
    const u64 span = high - low + 1;
    return span == 0 ? next() : low + next() % span;
  }
  // For keys and tokens: from the kernel in production.
  virtual void fill_secret(MutableByteSpan out) = 0;
};

// Runs CPU-heavy or blocking work off the reactor. The work must touch nothing that the reactor touches.
class Offload {
 public:
  virtual ~Offload() = default;
  virtual Task<void> run(std::function<void()> work) = 0;
};

// A reliable byte stream. One reader and one writer at a time; closing wakes both with connection_lost.
class Stream {
 public:
  virtual ~Stream() = default;
  // 0 at the end of the stream. The buffer must stay alive until the task ends.
  virtual Task<Result<std::size_t>> read(MutableByteSpan into) = 0;
  // All of the pieces, in order.
  virtual Task<Result<void>> write(std::vector<Buffer> pieces) = 0;
  virtual void close() = 0;
  virtual std::string peer() const = 0;  // for logs
};
class Listener {
 public:
  virtual ~Listener() = default;
  virtual Task<Result<std::unique_ptr<Stream>>> accept() = 0;
  virtual void close() = 0;
  virtual std::string address() const = 0;  // "host:port" with the real port when 0 was asked
};
class Network {
 public:
  virtual ~Network() = default;
  // `address` is "host:port". Errors: unavailable, timed_out, invalid_argument, address_in_use (listen).
  virtual Task<Result<std::unique_ptr<Stream>>> connect(std::string address) = 0;
  virtual Result<std::unique_ptr<Listener>> listen(std::string address) = 0;
};

// A file on a local disk. Offsets and sizes in bytes.
class File {
 public:
  virtual ~File() = default;
  // Short only at the end of the file.
  virtual Task<Result<std::size_t>> read_at(u64 offset, MutableByteSpan into) = 0;
  virtual Task<Result<void>> write_at(u64 offset, std::vector<Buffer> pieces) = 0;
  // Everything written before is durable when this succeeds (fdatasync). After a failure nothing written
  // since the last success may be trusted: never retry (see docs/decisions).
  virtual Task<Result<void>> flush() = 0;
  // write_at, and what it wrote is durable when this succeeds: one trip to the kernel instead of two. What
  // was written elsewhere in the file may not be. A failure means what a failed flush() means.
  virtual Task<Result<void>> write_durably_at(u64 offset, std::vector<Buffer> pieces);
  // Reserves [0, size) so that later writes inside need no metadata flush.
  virtual Task<Result<void>> allocate(u64 size) = 0;
  virtual Task<Result<void>> truncate(u64 size) = 0;
  virtual Task<Result<u64>> size() = 0;
};
enum class OpenMode : u8 { read_only, read_write, create, create_new };
struct DiskSpace {
  u64 total = 0;
  u64 free = 0;
};
// Paths are absolute in production; in the simulator they are names on the node's own disk.
class Disk {
 public:
  virtual ~Disk() = default;
  virtual Task<Result<std::unique_ptr<File>>> open(std::string path, OpenMode mode) = 0;
  virtual Task<Result<void>> remove(std::string path) = 0;
  virtual Task<Result<void>> rename(std::string from, std::string to) = 0;
  virtual Task<Result<void>> make_directory(std::string path) = 0;  // and parents; fine if it exists; durable
  virtual Task<Result<std::vector<std::string>>> list(std::string path) = 0;  // names, sorted
  // Makes creations, renames and removals in `path` durable.
  virtual Task<Result<void>> sync_directory(std::string path) = 0;
  virtual Task<Result<DiskSpace>> space(std::string path) = 0;
};

// A device that exchanges whole packets: /dev/fuse. Several reads may be under way at once.
class PacketDevice {
 public:
  virtual ~PacketDevice() = default;
  virtual Task<Result<std::size_t>> read(MutableByteSpan into) = 0;
  virtual Task<Result<void>> write(std::vector<Buffer> pieces) = 0;
  virtual void close() = 0;
};

class Env {
 public:
  virtual ~Env() = default;
  virtual Executor& executor() = 0;
  virtual Random& random() = 0;
  virtual Offload& offload() = 0;
  virtual Network& network() = 0;
  virtual Disk& disk() = 0;

  Instant now() { return executor().now(); }
  WallTime wall_now() { return executor().wall_now(); }
};

}  // namespace claudefs::runtime
