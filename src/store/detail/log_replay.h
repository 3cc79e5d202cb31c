// Reads a log back at open: delivers the records, reports damage, finds and cuts the torn tail.
#pragma once

#include "store/detail/log_files.h"
#include "store/log.h"

namespace claudefs::store::detail {

// Where the log goes on after what was replayed.
struct LogEnd {
  u32 next_file = 1;
  u64 next_sequence = 1;
  u32 previous = 0;  // checksum of the last record
};

// Errors: corrupt (another log's files), wrong_version, io_error.
runtime::Task<Result<LogEnd>> replay_log(runtime::Env& env, LogFiles& files, u32 magic, LogOptions options,
                                         const Replay& replay);

// What is unreadable comes back as zeros: who scans it finds a hole there and says what it means.
runtime::Task<Result<Buffer>> read_whole(runtime::File& file, u64 size);

}  // namespace claudefs::store::detail
