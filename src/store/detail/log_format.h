// Bytes of a log file, as docs/formats/log.md describes them. Pure: no I/O.
#pragma once

#include <optional>
#include <vector>

#include "base/buffer.h"
#include "base/ids.h"
#include "base/result.h"

namespace claudefs::store::detail {

struct LogFileHeader {
  u32 log_magic = 0;       // of the log's user
  u32 number = 0;          // must match the file's name
  u64 salt = 0;            // random; seeds every header checksum in the file
  u64 first_sequence = 0;  // of the first record that belongs here
  u32 previous = 0;        // checksum of the record before that one: the chain across files
};
inline constexpr u32 kLogHeaderArea = 4096;  // the first record comes after it
inline constexpr u32 kLogHeaderCopy = 2048;  // where the second copy lies, in a sector of its own

Buffer encode_log_file_header(const LogFileHeader& header);  // kLogHeaderArea bytes
// Takes either copy. Errors: corrupt, wrong_version.
Result<LogFileHeader> parse_log_file_header(ByteSpan area);

enum class LogRecordKind : u8 {  // stored: never renumber
  data = 1,
  mark = 2,  // no content: says that everything before it was flushed
};
struct LogRecordHeader {
  u32 length = 0;  // of the content
  u32 content_crc = 0;
  u64 sequence = 0;
  LogRecordKind kind = LogRecordKind::data;
  u16 group_back = 0;  // records between this one and the first that was flushed together with it
  u32 previous = 0;    // checksum of the record before
  u32 crc = 0;         // of the fields above, seeded with the file's salt

  u64 group_first() const { return sequence - group_back; }
};
inline constexpr u32 kLogRecordHeader = 32;
// A group begins at a multiple of this, and is filled up with zeros to the next one: a write of whole device
// blocks.
inline constexpr u64 kLogGroupAlignment = 4096;
constexpr u64 log_group_end(u64 offset) {
  return (offset + kLogGroupAlignment - 1) / kLogGroupAlignment * kLogGroupAlignment;
}
constexpr u64 log_record_size(u64 length) { return kLogRecordHeader + (length + 7) / 8 * 8; }

// Writes kLogRecordHeader bytes and gives the header's own checksum, the next record's `previous`.
u32 encode_log_record_header(const LogRecordHeader& header, u64 salt, MutableByteSpan out);
// Empty when the bytes are no record header of the file with this salt.
std::optional<LogRecordHeader> parse_log_record_header(ByteSpan bytes, u64 salt);

struct ScannedRecord {
  u32 offset = 0;
  LogRecordHeader header;
  u64 end() const { return offset + log_record_size(header.length); }
};
// Of what was written to a file up to its `file.size()`: is the header's area as it was made, are all records
// up to `end_sequence` there, and zeros between them? Errors: corrupt.
Result<void> check_log_file(ByteSpan file, const LogFileHeader& header, u64 end_sequence,
                            u64 record_bytes_max);
// Every record in `file` that checks, in order: also those behind a damaged place.
std::vector<ScannedRecord> scan_log_file(ByteSpan file, const LogFileHeader& header, u64 record_bytes_max);

}  // namespace claudefs::store::detail
