#include "data/detail/repairer.h"

#include <algorithm>

#include "base/log.h"
#include "data/detail/placement.h"
#include "data/messages.h"

namespace claudefs::data {

using namespace std::chrono_literals;
using runtime::Task;

constexpr runtime::Duration kStep = 500ms;
constexpr runtime::Duration kBetweenPasses = 5s;
constexpr runtime::Duration kVerifyEvery = 5min;
constexpr runtime::Duration kFirstVerify = 20s;
constexpr runtime::Duration kRetryAfter = 30s;
constexpr runtime::Duration kWriteTimeout = 10s;
constexpr std::size_t kRecordsAStep = 256;

Task<void> Repairer::run(ShardId shard) {
  runtime::Executor& executor = background_.env.executor();
  Progress progress;
  progress.verify_at = background_.env.now() + kFirstVerify;
  begin_pass(progress);
  while (!background_.stopping) {
    co_await executor.sleep(kStep);
    const meta::ReadContext* state = background_.state(shard);
    if (state == nullptr) continue;
    std::vector<SegmentRecord> records = segments_after(*state, progress.cursor, kRecordsAStep);
    const bool last = records.size() < kRecordsAStep;
    if (!records.empty()) progress.cursor = records.back().id;
    std::erase_if(
        records, [](const SegmentRecord& r) { return r.state != SegmentState::sealed || r.live_bytes == 0; });
    Missing missing;
    if (progress.verify) missing = co_await find_missing(records);
    std::vector<SegmentId> tried;
    std::vector<Task<bool>> repairs;
    for (const SegmentRecord& record : records) {
      if (progress.retry.contains(record.id) || !worth_it(record, missing)) continue;
      tried.push_back(record.id);
      repairs.push_back(repair(record));
    }
    const std::vector<bool> done = co_await runtime::join_all(executor, std::move(repairs));
    for (std::size_t i = 0; i < tried.size(); ++i)
      if (!done[i]) progress.retry[tried[i]] = background_.env.now() + kRetryAfter;
    std::erase_if(progress.retry, [this](const auto& item) { return item.second < background_.env.now(); });
    if (!last) continue;
    co_await executor.sleep(kBetweenPasses);
    begin_pass(progress);
  }
}

void Repairer::begin_pass(Progress& progress) const {
  const runtime::Instant now = background_.env.now();
  progress.cursor = SegmentId{};
  progress.verify = now >= progress.verify_at || progress.returns_seen != background_.watch.returns();
  progress.returns_seen = background_.watch.returns();
  if (progress.verify) progress.verify_at = now + kVerifyEvery;
}

Task<Repairer::Missing> Repairer::find_missing(std::vector<SegmentRecord> records) {
  std::map<NodeId, std::vector<store::ShardKey>> by_node;
  for (const SegmentRecord& record : records)
    for (std::size_t i = 0; i < record.nodes.size(); ++i)
      by_node[record.nodes[i]].push_back({record.id, static_cast<u8>(i), record.generation});
  Missing missing;
  std::vector<Task<void>> asks;
  for (auto& [node, keys] : by_node)
    if (background_.nodes.usable(node)) asks.push_back(ask_holder(node, std::move(keys), missing));
  co_await runtime::join_all(background_.env.executor(), std::move(asks));
  co_return missing;
}

// `missing` belongs to the awaiting find_missing.
Task<void> Repairer::ask_holder(NodeId node, std::vector<store::ShardKey> keys, Missing& missing) {
  ShardHolds message;
  message.keys = keys;
  const auto reply = co_await background_.nodes.call(node, std::move(message), 10s).result();
  if (!reply || reply->message.held.size() != keys.size()) co_return;
  for (std::size_t i = 0; i < keys.size(); ++i)
    if (reply->message.held[i] == 0) missing.insert(keys[i]);
}

int Repairer::spare(const SegmentRecord& record, const Missing& missing) const {
  int living = 0;
  for (std::size_t i = 0; i < record.nodes.size(); ++i)
    if (!background_.watch.gone(record.nodes[i], background_.env.now()) &&
        !missing.contains({record.id, static_cast<u8>(i), record.generation}))
      ++living;
  return living - record.layout.data_shards;
}

// Writing it anew must buy something: more failures survived, or the wider layout that the policy asks for.
bool Repairer::worth_it(const SegmentRecord& record, const Missing& missing) const {
  const int spare_now = spare(record, missing);
  if (spare_now < 0) return false;  // cannot be read now
  const std::optional<Layout> widest =
      widest_layout(background_.nodes.usable().size(), background_.nodes.total());
  if (!widest) return false;
  return widest->parity_shards > spare_now || *widest > record.layout;
}

// True when it was done, or somebody else did it.
Task<bool> Repairer::repair(SegmentRecord record) {
  const auto permit = co_await permits_.acquire();
  Nodes& nodes = background_.nodes;
  const std::vector<NodeId> candidates = nodes.usable();
  const std::optional<Layout> layout = widest_layout(candidates.size(), nodes.total());
  if (!layout) co_return false;
  const SegmentRange all{0, record.length};
  Result<Buffer> content =
      co_await background_.reader.read(std::make_shared<const SegmentRecord>(record), all).result();
  if (!content) {
    log::warn("data", "a segment that lacks redundancy cannot be read now",
              {log::kv("segment", record.id), log::kv("error", content.error().to_string())});
    co_return false;
  }
  std::vector<Buffer> pieces(1, std::move(*content));
  Result<std::vector<Buffer>> shards =
      co_await encode_segment(background_.env, *layout, std::move(pieces)).result();
  if (!shards) co_return false;
  ShardTarget target{record.id, background_.next_generation(record.generation),
                     choose_nodes(record.id, candidates, shards_of(*layout))};
  const std::vector<ShardFailure> failures =
      co_await write_shards(background_.env, nodes, target, std::move(*shards), kWriteTimeout);
  bool done = failures.empty();
  if (!done)
    log::warn("data", "a segment could not be laid out anew; it will be tried again",
              {log::kv("segment", record.id), log::kv("node", failures.front().node),
               log::kv("error", failures.front().error.to_string())});
  bool surely_not_sealed = !done;
  if (done) {
    SealSegments op;
    op.segments.push_back({record.id, target.generation, *layout, target.nodes, record.length});
    const auto sealed = co_await background_.router.call(shard_of(record.id), std::move(op)).result();
    done = sealed.has_value();
    // After a time-out it may be sealed all the same: then the holders' sweep decides.
    surely_not_sealed =
        !sealed && (sealed.error().code == Errc::conflict || sealed.error().code == Errc::stale);
  }
  std::vector<ShardTarget> leftovers;
  if (done)
    leftovers.push_back({record.id, record.generation, record.nodes});
  else if (surely_not_sealed)
    leftovers.push_back(std::move(target));
  co_await remove_shards(background_.env, nodes, std::move(leftovers));
  if (done)
    log::info("data", "segment laid out anew",
              {log::kv("segment", record.id), log::kv("data", layout->data_shards),
               log::kv("parity", layout->parity_shards)});
  co_return done || surely_not_sealed;
}

}  // namespace claudefs::data
