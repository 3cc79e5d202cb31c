#include "data/detail/sweeper.h"

#include "base/log.h"

namespace claudefs::data {

using namespace std::chrono_literals;
using runtime::Task;

constexpr std::size_t kBatch = 512;

Task<void> Sweeper::sweep_journal() {
  std::vector<store::OpenSegment> held = journal_.segments();
  for (std::size_t at = 0; at < held.size(); at += kBatch) {
    std::set<SegmentId> batch;
    for (std::size_t i = at; i < std::min(held.size(), at + kBatch); ++i) batch.insert(held[i].segment);
    const std::map<SegmentId, SegmentRecord> records = co_await records_of(std::move(batch));
    for (const auto& [id, record] : records)
      if (record.state != SegmentState::open) (void)co_await journal_.drop(id).result();
  }
}

// Those whose shard answers. A segment that its shard does not know is dead: ids are granted before use.
Task<std::map<SegmentId, SegmentRecord>> Sweeper::records_of(std::set<SegmentId> segments) {
  std::map<ShardId, FindSegments> by_shard;
  for (const SegmentId id : segments) by_shard[shard_of(id)].segments.push_back(id);
  std::map<SegmentId, SegmentRecord> out;
  for (auto& [shard, op] : by_shard) {
    if (shard.value >= background_.router.shard_count()) continue;
    auto reply = co_await background_.router.call(shard, std::move(op)).result();
    if (!reply) continue;
    for (SegmentRecord& record : reply->records) out.insert_or_assign(record.id, std::move(record));
  }
  co_return out;
}

Task<void> Sweeper::sweep_shards() {
  const std::vector<store::ShardInfo> held = shards_.list();
  std::set<store::ShardKey> suspects;
  for (std::size_t at = 0; at < held.size(); at += kBatch) {
    std::vector<store::ShardKey> keys;
    for (std::size_t i = at; i < std::min(held.size(), at + kBatch); ++i) keys.push_back(held[i].key);
    co_await sweep_batch(std::move(keys), suspects);
    co_await background_.env.executor().sleep(50ms);
  }
  suspects_ = std::move(suspects);
}

// `suspects` belongs to the awaiting sweep_shards. A shard that is not in the table may be about to be: only
// what was not wanted one whole sweep ago either goes.
Task<void> Sweeper::sweep_batch(std::vector<store::ShardKey> keys, std::set<store::ShardKey>& suspects) {
  std::set<SegmentId> segments;
  for (const store::ShardKey& key : keys) segments.insert(key.segment);
  const std::map<SegmentId, SegmentRecord> records = co_await records_of(std::move(segments));
  std::size_t removed = 0;
  for (const store::ShardKey& key : keys) {
    const auto it = records.find(key.segment);
    if (it == records.end()) continue;
    const SegmentRecord& record = it->second;
    const bool wanted = record.state == SegmentState::sealed && record.generation == key.generation &&
                        key.index < record.nodes.size() && record.nodes[key.index] == background_.self;
    if (wanted) continue;
    if (!suspects_.contains(key)) {
      suspects.insert(key);
      continue;
    }
    (void)co_await shards_.remove(key).result();
    ++removed;
  }
  if (removed != 0) log::info("data", "removed shards that nothing refers to", {log::kv("shards", removed)});
}

}  // namespace claudefs::data
