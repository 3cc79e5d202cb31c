// The segment table against the index: live bytes, places; and against the holders: are the shards there?
#include <algorithm>
#include <set>

#include "data/detail/fsck_run.h"
#include "data/messages.h"

namespace claudefs::data {
namespace {

using namespace std::chrono_literals;
using runtime::Task;

constexpr int kPasses = 4;

struct Uses {
  i64 bytes = 0;
  u64 end = 0;  // of the last chunk
};
using UsesOf = std::map<SegmentId, Uses>;

Task<Result<void>> read_index(FsckRun& run, UsesOf& uses) {
  for (u16 shard = 0; shard < run.shards(); ++shard) {
    run.progress({"segments: adding up the index of shard", shard, run.shards()});
    AuditChunks ask;
    for (bool end = false; !end;) {
      const AuditChunksReply page = co_await run.router.call(ShardId{shard}, ask);
      end = page.end || page.rows.empty();
      if (!page.rows.empty()) ask.after = page.rows.back().hash;
      ask.from_start = false;
      for (const AuditChunksReply::Row& row : page.rows) {
        Uses& use = uses[row.location.segment];
        use.bytes += row.location.length;
        use.end = std::max(use.end, u64{row.location.offset} + row.location.length);
      }
    }
  }
  co_return Result<void>();
}

Task<Result<void>> compare(FsckRun& run, const SegmentRecord& record, Uses use) {
  if (record.state == SegmentState::sealed && use.end > record.length)
    run.found("lost_segment", fmt::format("segment {} has {} bytes, the index places a chunk that ends at {}",
                                          record.id, record.length, use.end));
  if (record.live_bytes == use.bytes) co_return Result<void>();
  bool repaired = false;
  if (run.options.repair) {
    const RepairSegment op{record.id, record.changed, use.bytes};
    repaired = (co_await run.router.call(shard_of(record.id), op).result()).has_value();
  }
  run.found("live_bytes",
            fmt::format("segment {} counts {} live bytes, the index has {} in it", record.id,
                        record.live_bytes, use.bytes),
            repaired);
  co_return Result<void>();
}

// Up nodes without the shards that the record gives them. Looked at again: it may just have moved.
Task<Result<void>> ask_holders(FsckRun& run, std::vector<SegmentRecord> records) {
  for (int turn = 0; turn < 3 && !records.empty(); ++turn) {
    if (turn != 0) {
      co_await run.env.executor().sleep(3s);
      std::map<ShardId, FindSegments> asks;
      for (const SegmentRecord& record : records) asks[shard_of(record.id)].segments.push_back(record.id);
      records.clear();
      for (auto& [shard, ask] : asks) {
        SegmentsReply now = co_await run.router.call(shard, std::move(ask));
        for (SegmentRecord& record : now.records)
          if (record.state == SegmentState::sealed && record.live_bytes > 0)
            records.push_back(std::move(record));
      }
    }
    std::map<NodeId, ShardHolds> asks;
    std::map<NodeId, std::vector<std::size_t>> owners;
    for (std::size_t r = 0; r < records.size(); ++r)
      for (u8 i = 0; i < records[r].nodes.size(); ++i) {
        asks[records[r].nodes[i]].keys.push_back({records[r].id, i, records[r].generation});
        owners[records[r].nodes[i]].push_back(r);
      }
    std::set<std::size_t> lacking;
    for (auto& [node, ask] : asks) {
      if (!run.nodes.usable(node)) continue;
      const auto reply = co_await run.nodes.call(node, std::move(ask), 10s).result();
      if (!reply || reply->message.held.size() != owners[node].size()) continue;
      for (std::size_t n = 0; n < owners[node].size(); ++n)
        if (reply->message.held[n] == 0) lacking.insert(owners[node][n]);
    }
    std::vector<SegmentRecord> left;
    for (const std::size_t r : lacking) left.push_back(records[r]);
    records = std::move(left);
  }
  for (const SegmentRecord& record : records) {
    if (run.options.repair)
      for (u8 i = 0; i < record.nodes.size(); ++i) {
        const ReportBadCopy bad{record.id, record.generation, i, false};
        (void)co_await run.router.call(shard_of(record.id), bad).result();
      }
    run.found("shards",
              fmt::format("segment {}: nodes that are up lack shards of it; its leader lays it out anew",
                          record.id),
              run.options.repair);
  }
  co_return Result<void>();
}

}  // namespace

Task<Result<void>> check_segments(FsckRun& run) {
  std::set<SegmentId> wanted;
  std::set<SegmentId> unknown;
  for (int number = 0; number < kPasses; ++number) {
    co_await run.settle();
    const FsckRun::Stamps start = co_await run.stamp();
    UsesOf uses;
    co_await read_index(run, uses);
    co_await run.settle();
    std::set<SegmentId> changed, absent;
    for (const auto& [segment, use] : uses)
      if (wanted.empty() || wanted.contains(segment)) absent.insert(segment);
    for (u16 shard = 0; shard < run.shards(); ++shard) {
      run.progress({"segments: comparing the table of shard", shard, run.shards()});
      AuditSegments ask;
      for (bool end = false; !end;) {
        const AuditSegmentsReply page = co_await run.router.call(ShardId{shard}, ask);
        end = page.end || page.records.empty();
        if (!page.records.empty()) ask.after = page.records.back().id;
        std::vector<SegmentRecord> sealed;
        for (const SegmentRecord& record : page.records) {
          if (number == 0) {
            ++run.report.segments;
            if (record.state == SegmentState::sealed && record.live_bytes > 0) sealed.push_back(record);
          }
          absent.erase(record.id);
          if (!wanted.empty() && !wanted.contains(record.id)) continue;
          const auto use = uses.find(record.id);
          if (record.changed > start[shard])
            changed.insert(record.id);
          else
            co_await compare(run, record, use == uses.end() ? Uses{} : use->second);
        }
        co_await ask_holders(run, std::move(sealed));
      }
    }
    // Chunks whose segment is not in the table: twice in a row, or they have just moved.
    for (const SegmentId segment : absent)
      if (unknown.contains(segment))
        run.found("lost_segment",
                  fmt::format("the index has {} bytes in segment {}, which the table does not know: "
                              "restore the files that are damaged from elsewhere",
                              uses[segment].bytes, segment));
      else
        changed.insert(segment);
    unknown = std::move(absent);
    wanted = std::move(changed);
    if (wanted.empty()) co_return Result<void>();
  }
  run.report.undecided += wanted.size();
  co_return Result<void>();
}

}  // namespace claudefs::data
