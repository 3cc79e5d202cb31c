#include "store/detail/journal_record.h"

#include "store/detail/fixed.h"
#include "wire/codec.h"

namespace claudefs::store::detail {
namespace {
constexpr std::size_t kEnvelope = 6;
}

Result<ParsedJournalRecord> parse_journal_record(ByteSpan content) {
  TRY_ASSIGN(const JournalRecord record, wire::decode<JournalRecord>(content));
  const u64 data_at = kEnvelope + u64{get_fixed<u32>(content, 2)};
  const bool known = record.kind == JournalKind::append || record.kind == JournalKind::close ||
                     record.kind == JournalKind::drop;
  if (!known) return fail(Errc::wrong_version, "journal record of an unknown kind");
  if (content.size() - data_at != record.length || u64{record.offset} + record.length > UINT32_MAX)
    return fail(Errc::corrupt, "journal record with a wrong length");
  return ParsedJournalRecord{record, static_cast<u32>(data_at)};
}

}  // namespace claudefs::store::detail
