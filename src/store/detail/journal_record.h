// Contents of journal records, as docs/formats/journal.md describes them.
#pragma once

#include "base/buffer.h"
#include "base/ids.h"
#include "base/result.h"

namespace claudefs::store::detail {

enum class JournalKind : u8 {  // stored: never renumber
  append = 1,
  close = 2,
  drop = 3,
};
// In a codec envelope; an append's data follow it to the end of the record.
struct JournalRecord {
  JournalKind kind = JournalKind::append;
  SegmentId segment{};
  u32 offset = 0;  // in the segment
  u32 length = 0;  // of the data
  static auto fields(auto& self) { return std::tie(self.kind, self.segment, self.offset, self.length); }
  bool operator==(const JournalRecord&) const = default;
};

struct ParsedJournalRecord {
  JournalRecord record;
  u32 data_at = 0;  // where the data begin in the record's content
};
// Errors: corrupt, wrong_version.
Result<ParsedJournalRecord> parse_journal_record(ByteSpan content);

}  // namespace claudefs::store::detail
