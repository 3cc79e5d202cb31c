// Reads a log's file to see whether it still holds what was written to it.
#pragma once

#include "store/detail/log_files.h"

namespace claudefs::store::detail {

// Errors: corrupt, not_found (the file is gone), io_error. `files` outlives the task.
runtime::Task<Result<void>> verify_log_file(LogFiles& files, u32 number, u64 record_bytes_max);

}  // namespace claudefs::store::detail
