// The journal of one node: open segments' bytes, appended with group commit (store/log.h), until the
// segment is sealed elsewhere and dropped here. A segment's bytes are mirrored in two nodes' journals; the
// caller sees to that. Rebuilt from its log at open.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/ids.h"
#include "base/result.h"
#include "runtime/env.h"
#include "store/log.h"

namespace claudefs::store {

struct OpenSegment {
  SegmentId segment{};
  u32 length = 0;                  // end of the last byte held
  bool contiguous = true;          // every byte in [0, length) is held
  runtime::Instant last_append{};  // at open: the time of opening
};

class Journal {
 public:
  // `bytes_max` of disk, at least 64 MiB.
  static runtime::Task<Result<std::unique_ptr<Journal>>> open(runtime::Env& env, std::string directory,
                                                              u64 bytes_max);
  virtual ~Journal() = default;
  // Durable when it ends. Errors: no_space (live bytes reach five eighths of bytes_max; the rest is for dead
  // ones that wait to be cleaned), overloaded (too much waits for the disk), stale (segment was sealed or
  // dropped here), io_error (this journal is dead: use another node).
  virtual runtime::Task<Result<void>> append(SegmentId segment, u32 offset, std::vector<Buffer> data) = 0;
  // Exactly the range; not_found when a byte of it is not held, corrupt when it does not check.
  virtual runtime::Task<Result<Buffer>> read(SegmentId segment, u32 offset, u32 length) = 0;
  // No more appends to `segment` from now on, also after a restart; gives what is held.
  virtual runtime::Task<Result<OpenSegment>> close(SegmentId segment) = 0;
  // Frees a segment (sealed elsewhere, or dead). Fine if unknown.
  virtual runtime::Task<Result<void>> drop(SegmentId segment) = 0;
  virtual std::vector<OpenSegment> segments() const = 0;
  // Its files, and one of them read whole. Errors: corrupt (nothing more is written to it, and it goes once
  // what it holds is sealed or dropped), not_found (it is gone), io_error.
  virtual std::vector<LogFileInfo> files() const = 0;
  virtual runtime::Task<Result<void>> verify(u32 file) = 0;
  virtual u64 live_bytes() const = 0;
  virtual u64 disk_bytes() const = 0;
  virtual runtime::Task<void> stop() = 0;
};

}  // namespace claudefs::store
