#include <algorithm>

#include "codec/stripe_layout.h"
#include "data/ops/ops.h"

namespace claudefs::data {
namespace {

struct Health {
  u64 bytes = 0;
  u64 raw = 0;
  std::size_t needed = 1;  // living holders without which it cannot be read
  std::size_t living = 0;
  bool as_wanted = false;
};

Health judge(const SegmentRecord& record, const StorageSummary& op) {
  const auto up = [&](NodeId node) { return std::ranges::find(op.up, node) != op.up.end(); };
  Health health;
  if (record.state == SegmentState::sealed) {
    const unsigned k = record.layout.data_shards;
    health.bytes = record.length;
    health.raw = codec::StripeLayout::shard_length(k, record.length) * (k + record.layout.parity_shards);
    health.needed = k;
    health.living = static_cast<std::size_t>(std::ranges::count_if(record.nodes, up));
    health.as_wanted = health.living == record.nodes.size() && record.layout >= policy_layout(op.nodes_total);
  } else {
    health.bytes =
        static_cast<u64>(std::max<i64>(0, record.live_bytes));  // what else it holds nobody knows here
    health.raw = health.bytes * record.journals.size();
    health.living = static_cast<std::size_t>(std::ranges::count_if(record.journals, up));
    health.as_wanted = health.living == record.journals.size() && (health.living > 1 || op.nodes_total <= 1);
  }
  return health;
}

}  // namespace

Result<StorageSummaryReply> read_storage_summary(const meta::ReadContext& context, const StorageSummary& op) {
  StorageSummaryReply reply;
  context.scan(kSegmentPrefix, kSegmentPrefix, [&](std::string_view, std::string_view value) {
    const Result<SegmentRecord> record = wire::decode<SegmentRecord>(as_bytes(value));
    if (!record) return true;
    Health health = judge(*record, op);
    reply.live_bytes += static_cast<u64>(std::max<i64>(0, record->live_bytes));
    reply.segment_bytes += health.bytes;
    reply.raw_bytes += health.raw;
    reply.segments += 1;
    // What nothing refers to waits to be reclaimed and is not repaired: its redundancy matters to nobody.
    if (record->state == SegmentState::sealed && record->live_bytes <= 0) return true;
    if (health.as_wanted)
      reply.full += health.bytes;
    else if (health.living > health.needed)
      reply.degraded += health.bytes;
    else
      reply.at_risk += health.bytes;
    return true;
  });
  reply.chunks = context.load<IndexTotals>(kTotalsKey).value_or(IndexTotals{}).chunks;
  return reply;
}

}  // namespace claudefs::data
