// What a shard holds, and what the background may move.
#include "meta/detail/keys.h"
#include "meta/detail/records.h"
#include "meta/ops/ops.h"

namespace claudefs::meta {
namespace {

constexpr u32 kScanMax = 100'000;  // records one query looks at

}  // namespace

Result<ShardUsageReply> read_usage(const ReadContext& context, const ShardUsage&) {
  return context.load<ShardUsageReply>(usage_key()).value_or(ShardUsageReply{});
}

Result<ListInlineReply> read_inline(const ReadContext& context, const ListInline& op) {
  ListInlineReply reply;
  u32 seen = 0;
  const std::string prefix = key_of_table(Table::inline_data);
  context.scan(prefix, prefix, [&](std::string_view key, std::string_view value) {
    const Result<InlineRecord> record = wire::decode<InlineRecord>(as_bytes(value));
    CFS_CHECK(record.has_value());
    if (record->touched < op.idle_before) reply.inodes.push_back(InodeId{number_in(key, prefix.size())});
    return reply.inodes.size() < op.inodes_max && ++seen < kScanMax;
  });
  return reply;
}

}  // namespace claudefs::meta
