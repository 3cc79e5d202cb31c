#include "data/detail/sealer.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/probe.h"
#include "data/detail/placement.h"
#include "data/messages.h"

namespace claudefs::data {

using namespace std::chrono_literals;
using runtime::Task;

constexpr runtime::Duration kRound = 1s;
constexpr runtime::Duration kOpenTimeMax = 3s;  // writers roll to a new segment before
constexpr runtime::Duration kRetryAfter = 3s;
constexpr runtime::Duration kSealTimeout = 30s;
constexpr std::size_t kAtOnce = 32;
constexpr std::size_t kScanMax = 4096;

Task<void> Sealer::run(ShardId shard) {
  Times retry, seen;
  while (!background_.stopping) {
    co_await background_.env.executor().sleep(kRound);
    const std::vector<SegmentRecord> records = due(shard, retry, seen);
    std::vector<Task<bool>> seals;
    for (const SegmentRecord& record : records) seals.push_back(seal(record));
    const std::vector<bool> done = co_await runtime::join_all(background_.env.executor(), std::move(seals));
    for (std::size_t i = 0; i < records.size(); ++i)
      if (!done[i]) retry[records[i].id] = background_.env.now() + kRetryAfter;
    std::erase_if(retry, [this](const auto& item) { return item.second < background_.env.now(); });
  }
}

std::vector<SegmentRecord> Sealer::due(ShardId shard, const Times& retry, Times& seen) const {
  std::vector<SegmentRecord> out;
  const meta::ReadContext* state = background_.state(shard);
  if (state == nullptr) return out;
  std::vector<SegmentId> open;
  Times before = std::exchange(seen, {});
  const runtime::Instant now = background_.env.now();
  state->scan(kOpenSegmentPrefix, kOpenSegmentPrefix, [&](std::string_view key, std::string_view) {
    const auto id = parse_segment_key(key);
    if (!id) return true;
    const auto known = before.find(*id);
    seen.emplace(*id, known == before.end() ? now : known->second);
    if (!retry.contains(*id)) open.push_back(*id);
    return open.size() < kScanMax;
  });
  for (const SegmentId id : open) {
    std::optional<SegmentRecord> record = state->load<SegmentRecord>(segment_key(id));
    if (!record || record->journals.empty()) continue;
    // With a holder away there is one copy: at once. Its writer goes on in another segment.
    const bool alone = !std::ranges::all_of(record->journals,
                                            [this](NodeId node) { return background_.nodes.writable(node); });
    // By this node's own clock: the one that granted it may have been set back since.
    if (!alone && now < seen.at(id) + kOpenTimeMax) continue;
    if (alone) CFS_PROBE(data_sealed_at_once, "a segment has one journal left and is sealed at once");
    out.push_back(std::move(*record));
    if (out.size() == kAtOnce) break;
  }
  return out;
}

// True when there is nothing left to do for it.
Task<bool> Sealer::seal(SegmentRecord record) {
  const auto permit = co_await permits_.acquire();
  Nodes& nodes = background_.nodes;
  std::size_t empty = 0;
  std::vector<NodeId> journals = record.journals;
  std::ranges::sort(journals, {}, [&](NodeId node) { return std::pair(!nodes.usable(node), node); });
  for (const NodeId journal : journals) {
    const std::vector<NodeId> candidates = nodes.writable();
    const std::optional<Layout> layout = widest_layout(candidates.size(), nodes.total());
    if (!layout) co_return false;
    SealFromJournal message;
    message.segment = record.id;
    message.generation = background_.next_generation(record.generation);
    message.data_shards = layout->data_shards;
    message.parity_shards = layout->parity_shards;
    message.nodes = choose_nodes(record.id, candidates, shards_of(*layout));
    auto reply = co_await nodes.call(journal, message, kSealTimeout).result();
    if (!reply) {
      CFS_PROBE(data_seal_failed, "a segment could not be sealed from one of its journals");
      log::debug("data", "sealing did not succeed",
                 {log::kv("segment", record.id), log::kv("journal", journal),
                  log::kv("error", reply.error().to_string())});
      continue;
    }
    const u32 length = reply->message.length;
    empty += length == 0 ? 1 : 0;
    if (length == 0) continue;
    if (length < record.live_bytes) {
      log::error("data", "a journal holds less of a segment than is referred to; trying the other",
                 {log::kv("segment", record.id), log::kv("journal", journal), log::kv("held", length)});
      continue;
    }
    SealSegments op;
    op.segments.push_back({record.id, message.generation, *layout, message.nodes, length});
    const auto sealed = co_await background_.router.call(shard_of(record.id), std::move(op)).result();
    if (!sealed) co_return false;
    co_await drop_journals(std::move(record));
    co_return true;
  }
  if (empty == journals.size()) co_return co_await forget_empty(std::move(record));
  co_return false;
}

// Closed at every journal with nothing in it: nothing can come any more.
Task<bool> Sealer::forget_empty(SegmentRecord record) {
  CFS_PROBE(data_empty_segment_forgotten, "an open segment that nobody wrote to goes");
  RemoveSegments op;
  op.empty.push_back(record.id);
  const auto removed = co_await background_.router.call(shard_of(record.id), std::move(op)).result();
  if (!removed || removed->records.empty()) co_return false;
  co_await drop_journals(std::move(record));
  co_return true;
}

static Task<void> drop_at(Nodes& nodes, NodeId node, JournalDrop message) {
  (void)co_await nodes.call(node, std::move(message), 5s).result();
}

// Best effort: each node also asks now and then about the segments that its journal holds.
Task<void> Sealer::drop_journals(SegmentRecord record) {
  JournalDrop message;
  message.segments.push_back(record.id);
  std::vector<Task<void>> drops;
  for (const NodeId node : record.journals)
    if (background_.nodes.usable(node)) drops.push_back(drop_at(background_.nodes, node, message));
  co_await runtime::join_all(background_.env.executor(), std::move(drops));
}

}  // namespace claudefs::data
