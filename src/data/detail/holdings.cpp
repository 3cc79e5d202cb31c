#include "data/detail/holdings.h"

#include <algorithm>
#include <bit>

#include "codec/stripe_layout.h"

namespace claudefs::data {
namespace {

bool is_up(const StorageSummary& op, NodeId node) { return std::ranges::find(op.up, node) != op.up.end(); }

u64& class_of(StorageSummaryReply& reply, std::size_t living, std::size_t needed, bool as_wanted) {
  if (as_wanted) return reply.full;
  return living > needed ? reply.degraded : reply.at_risk;
}

}  // namespace

void Survey::add(const SegmentRecord& record) {
  Form form{record.state, record.live_bytes > 0, record.layout, {}};
  Sums more;
  const u64 live = static_cast<u64>(std::max<i64>(0, record.live_bytes));
  more.segments = 1;
  more.live_bytes = live;
  if (record.state == SegmentState::sealed) {
    const unsigned k = record.layout.data_shards;
    form.holders = record.nodes;
    more.bytes = record.length;
    more.raw = codec::StripeLayout::shard_length(k, record.length) * (k + record.layout.parity_shards);
    more.dead_bytes = record.length - std::min<u64>(live, record.length);
  } else {
    form.holders = record.journals;
    form.live = true;
    more.bytes = live;  // what else it holds nobody knows here
    more.raw = live * record.journals.size();
  }
  std::ranges::sort(form.holders);
  Sums& sums = sums_[std::move(form)];
  sums.segments += more.segments;
  sums.bytes += more.bytes;
  sums.raw += more.raw;
  sums.live_bytes += more.live_bytes;
  sums.dead_bytes += more.dead_bytes;
}

void Survey::judge(const StorageSummary& op, StorageSummaryReply& reply) const {
  for (const auto& [form, sums] : sums_) {
    reply.live_bytes += sums.live_bytes;
    reply.segment_bytes += sums.bytes;
    reply.raw_bytes += sums.raw;
    reply.segments += sums.segments;
    reply.reclaimable_bytes += sums.dead_bytes;
    if (form.live) reply.compaction_debt += sums.dead_bytes;
    // What nothing refers to waits to be reclaimed and is not repaired: its redundancy matters to nobody.
    if (!form.live) continue;
    const auto living = static_cast<std::size_t>(
        std::ranges::count_if(form.holders, [&](NodeId node) { return is_up(op, node); }));
    const bool whole = living == form.holders.size();
    if (form.state == SegmentState::sealed)
      class_of(reply, living, form.layout.data_shards,
               whole && form.layout >= policy_layout(op.nodes_total)) += sums.bytes;
    else
      class_of(reply, living, 1, whole && (living > 1 || op.nodes_total <= 1)) += sums.bytes;
  }
}

void Losses::set(const SegmentRecord& record, ShardMask lost, ShardMask lies) {
  if (lost == 0) {
    forget(record.id);
    return;
  }
  losses_[record.id] = {record.generation, record.length, record.layout, record.nodes, lost, lies};
}
const Losses::Loss* Losses::find(const SegmentRecord& record) const {
  const auto it = losses_.find(record.id);
  return it != losses_.end() && it->second.generation == record.generation ? &it->second : nullptr;
}
ShardMask Losses::lost(const SegmentRecord& record) const {
  const Loss* loss = find(record);
  return loss == nullptr ? 0 : loss->lost;
}
ShardMask Losses::lies(const SegmentRecord& record) const {
  const Loss* loss = find(record);
  return loss == nullptr ? 0 : loss->lies;
}

void Losses::judge(const StorageSummary& op, StorageSummaryReply& reply) const {
  for (const auto& [segment, loss] : losses_) {
    std::size_t up = 0, living = 0;
    for (std::size_t i = 0; i < loss.holders.size(); ++i) {
      const bool here = is_up(op, loss.holders[i]);
      const bool good = (loss.lost >> i & 1) == 0;
      up += here ? 1 : 0;
      living += here && good ? 1 : 0;
      reply.missing_shards += here && !good ? 1 : 0;
    }
    if (up == living) continue;
    const std::size_t needed = loss.layout.data_shards;
    u64& from = class_of(reply, up, needed,
                         up == loss.holders.size() && loss.layout >= policy_layout(op.nodes_total));
    // The survey may not have seen it yet, or no longer.
    from -= std::min<u64>(from, loss.length);
    class_of(reply, living, needed, false) += loss.length;
    reply.missing_bytes += loss.length;
    const auto good = loss.holders.size() - static_cast<std::size_t>(std::popcount(loss.lost));
    reply.unreadable_segments += good < needed ? 1 : 0;
  }
}

}  // namespace claudefs::data
