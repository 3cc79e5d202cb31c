// Goal: no bytes in a log file can make its parsers read out of bounds, loop or give records that overlap.
#include <cstdint>

#include "base/check.h"
#include "store/detail/log_format.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace claudefs;
  using namespace claudefs::store::detail;
  const ByteSpan bytes(reinterpret_cast<const std::byte*>(data), size);
  LogFileHeader header{.salt = 1, .first_sequence = 1};
  if (const auto parsed = parse_log_file_header(bytes)) header = *parsed;
  u64 end = kLogHeaderArea;
  for (const ScannedRecord& record : scan_log_file(bytes, header, 1 << 20)) {
    CFS_CHECK(record.offset >= end && record.end() <= size);
    end = record.end();
  }
  return 0;
}
