#include "store/detail/log_verify.h"

#include "store/detail/log_replay.h"

namespace claudefs::store::detail {

runtime::Task<Result<void>> verify_log_file(LogFiles& files, u32 number, u64 record_bytes_max) {
  const LogFile what = co_await files.open(number);
  if (!what.header) co_return fail(Errc::corrupt, files.path(number) + ": the file header is damaged");
  const Buffer bytes = co_await read_whole(*what.file, what.end);
  if (!files.has(number)) co_return fail(Errc::not_found, files.path(number) + " is gone");
  const Result<void> checked = check_log_file(bytes, *what.header, what.end_sequence, record_bytes_max);
  if (!checked) co_return fail(checked.error().code, files.path(number) + " " + checked.error().text);
  co_return Result<void>();
}

}  // namespace claudefs::store::detail
