#include "store/detail/log_format.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/mutant.h"
#include "base/zeros.h"
#include "store/detail/fixed.h"

namespace claudefs::store::detail {

CFS_DEFINE_MUTANT(store_scrub_skips_log_header, "store: a scrub does not look at the headers of log files");
CFS_DEFINE_MUTANT(store_scrub_believes_log_end, "store: a scrub takes damage for the end of a log file");

namespace {
constexpr u32 kFileMagic = 0x4c534643;    // "CFSL"
constexpr u32 kRecordMagic = 0x52534643;  // "CFSR"
constexpr u16 kVersion = 1;
constexpr u16 kFileHeaderBytes = 48;

u32 salted_crc(ByteSpan bytes, u64 salt) {
  std::array<std::byte, 8> seed;
  put_fixed<u64>(seed, 0, salt);
  return crc32c(bytes, crc32c(seed));
}

Result<LogFileHeader> parse_copy(ByteSpan in) {
  if (get_fixed<u32>(in, 0) != kFileMagic) return fail(Errc::corrupt, "no log header");
  const u16 bytes = get_fixed<u16>(in, 6);
  // The length is believed only together with the checksum that it places.
  if (bytes < 12 || bytes > 2048 || crc32c(in.first(bytes - 4)) != get_fixed<u32>(in, bytes - 4))
    return fail(Errc::corrupt, "the log header does not check");
  if (get_fixed<u16>(in, 4) != kVersion || bytes != kFileHeaderBytes)
    return fail(Errc::wrong_version, "the log was written by another version of claudefs");
  return LogFileHeader{.log_magic = get_fixed<u32>(in, 8),
                       .number = get_fixed<u32>(in, 12),
                       .salt = get_fixed<u64>(in, 16),
                       .first_sequence = get_fixed<u64>(in, 24),
                       .previous = get_fixed<u32>(in, 32)};
}
}  // namespace

Buffer encode_log_file_header(const LogFileHeader& header) {
  Buffer area = Buffer::zeros(kLogHeaderArea);
  for (u32 at : {u32{0}, kLogHeaderCopy}) {
    MutableByteSpan out = area.mutable_span().subspan(at, kFileHeaderBytes);
    put_fixed<u32>(out, 0, kFileMagic);
    put_fixed<u16>(out, 4, kVersion);
    put_fixed<u16>(out, 6, kFileHeaderBytes);
    put_fixed<u32>(out, 8, header.log_magic);
    put_fixed<u32>(out, 12, header.number);
    put_fixed<u64>(out, 16, header.salt);
    put_fixed<u64>(out, 24, header.first_sequence);
    put_fixed<u32>(out, 32, header.previous);
    put_fixed<u32>(out, kFileHeaderBytes - 4, crc32c(out.first(kFileHeaderBytes - 4)));
  }
  return area;
}

Result<LogFileHeader> parse_log_file_header(ByteSpan area) {
  if (area.size() < kLogHeaderArea) return fail(Errc::corrupt, "the log file is shorter than its header");
  Result<LogFileHeader> first = parse_copy(area.first(kLogHeaderCopy));
  if (first || first.error().code == Errc::wrong_version) return first;
  return parse_copy(area.subspan(kLogHeaderCopy, kLogHeaderCopy));
}

u32 encode_log_record_header(const LogRecordHeader& header, u64 salt, MutableByteSpan out) {
  put_fixed<u32>(out, 0, kRecordMagic);
  put_fixed<u32>(out, 8, header.length);
  put_fixed<u32>(out, 12, header.content_crc);
  put_fixed<u64>(out, 16, header.sequence);
  put_fixed<u8>(out, 24, static_cast<u8>(header.kind));
  put_fixed<u8>(out, 25, 0);
  put_fixed<u16>(out, 26, header.group_back);
  put_fixed<u32>(out, 28, header.previous);
  const u32 crc = salted_crc(out.subspan(8, kLogRecordHeader - 8), salt);
  put_fixed<u32>(out, 4, crc);
  return crc;
}

std::optional<LogRecordHeader> parse_log_record_header(ByteSpan in, u64 salt) {
  if (in.size() < kLogRecordHeader || get_fixed<u32>(in, 0) != kRecordMagic) return std::nullopt;
  const u32 crc = get_fixed<u32>(in, 4);
  if (salted_crc(in.subspan(8, kLogRecordHeader - 8), salt) != crc) return std::nullopt;
  const LogRecordHeader header{.length = get_fixed<u32>(in, 8),
                               .content_crc = get_fixed<u32>(in, 12),
                               .sequence = get_fixed<u64>(in, 16),
                               .kind = static_cast<LogRecordKind>(get_fixed<u8>(in, 24)),
                               .group_back = get_fixed<u16>(in, 26),
                               .previous = get_fixed<u32>(in, 28),
                               .crc = crc};
  const bool known = header.kind == LogRecordKind::data || header.kind == LogRecordKind::mark;
  if (!known || header.group_back > header.sequence) return std::nullopt;
  return header;
}

std::vector<ScannedRecord> scan_log_file(ByteSpan file, const LogFileHeader& header, u64 record_bytes_max) {
  std::vector<ScannedRecord> records;
  u64 next = header.first_sequence;
  u32 previous = header.previous;
  u64 at = kLogHeaderArea;
  while (at + kLogRecordHeader <= file.size()) {
    if (const u32 magic = get_fixed<u32>(file, at); magic != kRecordMagic) {
      // Zeros are nearly all that there is in the unwritten part of a file.
      at += magic == 0 ? std::max<u64>(8, leading_zeros(file.subspan(at)) & ~u64{7}) : 8;
      continue;
    }
    const auto found = parse_log_record_header(file.subspan(at, kLogRecordHeader), header.salt);
    if (!found || found->length > record_bytes_max) {
      at += 8;
      continue;
    }
    const u64 end = at + log_record_size(found->length);
    const bool whole = end <= file.size() && found->sequence >= next &&
                       (found->sequence != next || found->previous == previous) &&
                       crc32c(file.subspan(at + kLogRecordHeader, found->length)) == found->content_crc;
    if (whole) {
      records.push_back({static_cast<u32>(at), *found});
      next = found->sequence + 1;
      previous = found->crc;
    }
    // A header that checks tells where its record ends, also when its content is damaged.
    at = end;
  }
  return records;
}

Result<void> check_log_file(ByteSpan file, const LogFileHeader& header, u64 end_sequence,
                            u64 record_bytes_max) {
  const auto bad = [](u64 at, std::string_view what) -> Result<void> {
    return fail(Errc::corrupt, fmt::format("at {}: {}", at, what));
  };
  const Buffer area = encode_log_file_header(header);
  const bool same = file.size() >= area.size() && std::ranges::equal(file.first(area.size()), area.span());
  if (!same && !CFS_MUTANT(store_scrub_skips_log_header))
    return bad(0, "the file header is not as it was written");
  u64 expected = header.first_sequence;
  u64 end = kLogHeaderArea;
  const auto zeros_until = [&](u64 at) { return all_zero(file.subspan(end, at - end)); };
  for (const ScannedRecord& record : scan_log_file(file, header, record_bytes_max)) {
    if (record.header.sequence != expected) return bad(end, "a record does not check");
    const u64 last = record.offset + kLogRecordHeader + record.header.length;
    if (!zeros_until(record.offset)) return bad(end, "what lies between records is not as it was written");
    end = last;
    ++expected;
  }
  if (CFS_MUTANT(store_scrub_believes_log_end)) return {};
  if (expected != end_sequence) return bad(end, "a record does not check");
  if (!zeros_until(file.size())) return bad(end, "what lies behind the records is not as it was written");
  return {};
}

}  // namespace claudefs::store::detail
