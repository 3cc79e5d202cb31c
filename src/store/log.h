// An append-only log of records in numbered, preallocated files, with group commit: appends that come while
// a flush is under way share the next one. Format: docs/formats/log.md (magic, version, per record length,
// CRC-32C, and a chain: each record's checksum covers the previous one's).
//
// A torn tail (an incomplete last group that was never acknowledged) is cut at open. Damage before it is
// reported, not skipped: `Replay::damaged` is called for it, and what follows still replays.
// A failed write or flush kills the log: every later append fails (docs/decisions/0001-flush-failure.md).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/ids.h"
#include "base/result.h"
#include "runtime/env.h"

namespace claudefs::store {

struct LogPosition {
  u32 file = 0;
  u32 offset = 0;  // of the record's header
  u32 length = 0;  // of the record's content
  auto operator<=>(const LogPosition&) const = default;
  static auto fields(auto& self) { return std::tie(self.file, self.offset, self.length); }
};

struct LogOptions {
  u64 file_bytes = 32u << 20;
  u64 record_bytes_max = 8u << 20;
  u64 queue_bytes_max = 64u << 20;  // waiting appends; above it they fail with overloaded
};

struct LogFileInfo {
  u32 number = 0;
  u64 bytes = 0;  // that hold records, and its header
};

struct Replay {
  std::function<void(LogPosition, const Buffer& content)> record;
  // A record that was surely written but does not check: position, and why.
  std::function<void(LogPosition, std::string why)> damaged;
};

class Log {
 public:
  // Replays what is there, oldest first, then is ready to append. `magic` tells logs apart ("RAFT", "JRNL").
  static runtime::Task<Result<std::unique_ptr<Log>>> open(runtime::Env& env, std::string directory, u32 magic,
                                                          LogOptions options, Replay replay);
  virtual ~Log() = default;
  // Ends when the record is durable. Records become durable in the order of the calls.
  // Errors: io_error (the log is dead), no_space (no new file; nothing was written, later appends may
  // succeed), overloaded (queue_bytes_max wait; nothing was written), too_big, cancelled (stop() was called).
  virtual runtime::Task<Result<LogPosition>> append(std::vector<Buffer> content) = 0;
  // Errors: not_found (the file is gone), corrupt.
  virtual runtime::Task<Result<Buffer>> read(LogPosition position) = 0;
  // Deletes the file `number` (all its records are dead), durably. Never the one being written (busy). Fine
  // if it is gone.
  virtual runtime::Task<Result<void>> remove_file(u32 number) = 0;
  // The file being written; before the first append the one that it will make.
  virtual u32 current_file() const = 0;
  // Starts a new file at the next append, or when the log has been idle for a second, so that the current one
  // can be removed later.
  virtual void roll() = 0;
  virtual std::vector<LogFileInfo> files() const = 0;  // oldest first
  // Reads all that the log has written to the file: header, records, the zeros between. Errors: corrupt,
  // not_found (the file is gone), io_error.
  virtual runtime::Task<Result<void>> verify(u32 file) = 0;
  virtual u64 disk_bytes() const = 0;
  // Writes what waits, then refuses. Await it before destruction, except to simulate a crash.
  virtual runtime::Task<void> stop() = 0;
};

}  // namespace claudefs::store
