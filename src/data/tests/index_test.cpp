// Goal: the chunk index counts what was sent to it, and reclaims only what nobody can use any more.
// Method: random deltas, pins and reclaims against a plain model; then the rules of the segment table one by
// one.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "data/detail/holdings.h"
#include "data/detail/placement.h"
#include "data/tests/mini_shards.h"

namespace claudefs::data {
namespace {

using namespace std::chrono_literals;
using meta::ChunkDeltas;

codec::ChunkHash hash_of(u64 n) {
  codec::ChunkHash hash;
  for (int i = 0; i < 8; ++i) hash.bytes[i] = static_cast<std::byte>((n * 0x9e3779b97f4a7c15u) >> (8 * i));
  return hash;
}
Hlc at(runtime::Duration time) { return later(Hlc{}, time); }

struct Model {
  i64 references = 0;
  Location location;
  Hlc pinned{};
  Hlc zero{};
};

struct IndexRig {
  MiniShards shards{4};
  std::map<u64, Model> model;
  std::map<SegmentId, i64> live;
  std::vector<SegmentId> segments;
  Hlc now = at(1s);

  IndexRig() {
    for (u16 shard = 0; shard < 4; ++shard)
      for (const SegmentRecord& record :
           shards.call(ShardId{shard}, GrantSegments{SessionId{1}, 3, {}}, now)->records)
        segments.push_back(record.id);
  }
  ShardId home(u64 n) { return meta::shard_of_chunk(hash_of(n), 4); }
  void delta(u64 n, i64 count, SegmentId segment) {
    const Location location{segment, static_cast<u32>(n * 100), static_cast<u32>(50 + n)};
    ASSERT_TRUE(shards.call(home(n), ChunkDeltas{{{hash_of(n), count, location, 4096}}}, now));
    const auto it = model.find(n);
    if (count > 0 && it == model.end()) {
      model[n] = {count, location, {}, {}};
      live[segment] += location.length;
    } else if (it != model.end()) {
      const i64 before = it->second.references;
      it->second.references = std::max<i64>(0, before + count);
      if (it->second.references > 0)
        it->second.zero = Hlc{};
      else if (before > 0)
        it->second.zero = shards.shard(home(n)).hlc();
    }
  }
  void pin(u64 n) {
    const Result<ChunkPlaces> places = shards.call(home(n), PinChunks{{hash_of(n)}}, now);
    ASSERT_EQ(places->places[0].found, model.contains(n));
    if (!model.contains(n)) return;
    ASSERT_EQ(places->places[0].location, model[n].location);
    model[n].pinned = later(shards.shard(home(n)).hlc(), 10min);
    ASSERT_LT(places->valid_until, model[n].pinned);
  }
  void reclaim(u16 shard, Hlc safe) {
    ASSERT_TRUE(shards.call(ShardId{shard}, ReclaimChunks{safe, 1000}, now));
    const Hlc then = shards.shard(ShardId{shard}).hlc();
    std::erase_if(model, [&](const auto& item) {
      const auto& [n, chunk] = item;
      if (home(n).value != shard || chunk.references != 0) return false;
      if (!(chunk.pinned < safe && chunk.pinned < then && chunk.zero < safe &&
            later(chunk.zero, kChunkGrace) < then))
        return false;
      live[chunk.location.segment] -= chunk.location.length;
      return true;
    });
  }
  void compare() {
    u64 chunks = 0;
    for (u64 n = 0; n < 40; ++n) {
      const std::optional<ChunkRecord> record = shards.chunk(hash_of(n));
      ASSERT_EQ(record.has_value(), model.contains(n)) << n;
      if (!record) continue;
      EXPECT_EQ(record->references, static_cast<u64>(model[n].references));
      EXPECT_EQ(record->location, model[n].location);
      EXPECT_EQ(record->zero_since, model[n].zero);
    }
    for (const SegmentId id : segments) EXPECT_EQ(shards.segment(id).live_bytes, live[id]);
    std::size_t queued = 0;
    for (u16 shard = 0; shard < 4; ++shard) {
      chunks += shards.shard(ShardId{shard}).load<IndexTotals>(kTotalsKey).value_or(IndexTotals{}).chunks;
      shards.shard(ShardId{shard}).scan("c", "c", [&](auto, auto) { return ++queued, true; });
    }
    EXPECT_EQ(chunks, model.size());
    EXPECT_EQ(queued, static_cast<std::size_t>(std::ranges::count_if(
                          model, [](const auto& item) { return item.second.references == 0; })));
  }
};

TEST(ChunkIndex, AgreesWithAModelThroughRandomHistories) {
  for (u64 seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    IndexRig rig;
    std::size_t reclaimed = 0;
    for (int step = 0; step < 400; ++step) {
      rig.now = later(rig.now, std::chrono::milliseconds(random() % 20000));
      const u64 n = random() % 40;
      const std::size_t before = rig.model.size();
      switch (random() % 8) {
        case 0:
        case 1:
        case 2:
          rig.delta(n, static_cast<i64>(random() % 3) + 1, rig.segments[random() % rig.segments.size()]);
          break;
        case 3:
        case 4:
        case 5:
          rig.delta(n, -static_cast<i64>(random() % 4) - 1, rig.segments[0]);
          break;
        case 6:
          if (random() % 4 == 0) rig.pin(n);
          break;
        default:
          // The safe point lags behind, by up to two minutes.
          rig.reclaim(random() % 4, Hlc{rig.now.value - (static_cast<u64>(random() % 120'000) << 16)});
          reclaimed += before - rig.model.size();
      }
    }
    rig.compare();
    EXPECT_GT(reclaimed, 5u);  // else the test shows nothing
  }
}

TEST(ChunkIndex, ABatchOfDeltasIsOneSegmentMessage) {
  IndexRig rig;
  ChunkDeltas op;
  for (u64 n = 0; n < 40; ++n)
    if (rig.home(n).value == 1) op.deltas.push_back({hash_of(n), 1, {rig.segments[5], 0, 10}, 100});
  ASSERT_TRUE(rig.shards.call(ShardId{1}, op, rig.now));
  EXPECT_EQ(rig.shards.calls_made[SegmentDelta::kKind], 1u);
  EXPECT_EQ(rig.shards.segment(rig.segments[5]).live_bytes, static_cast<i64>(op.deltas.size() * 10));
}

TEST(ChunkIndex, DropsBeyondZeroAndHugeCountsAreClamped) {
  IndexRig rig;
  rig.delta(3, 1, rig.segments[0]);
  ChunkDeltas op{{{hash_of(3), INT64_MIN, {}, 0}, {hash_of(4), -1, {}, 0}, {hash_of(5), 1, {}, 0}}};
  for (auto& delta : op.deltas) ASSERT_TRUE(rig.shards.call(rig.home(3), ChunkDeltas{{delta}}, rig.now));
  EXPECT_EQ(rig.shards.chunk(hash_of(3))->references, 0u);
  EXPECT_FALSE(rig.shards.chunk(hash_of(4)));
}

struct SegmentRig : IndexRig {
  SealSegments sealed(SegmentId id, u32 generation, Layout layout = {2, 1}) {
    SealSegments op;
    op.segments.push_back({id, generation, layout, {NodeId{1}, NodeId{2}, NodeId{3}}, 5000});
    return op;
  }
  Errc seal(SealSegments op) {
    const auto result = shards.call(shard_of(op.segments[0].id), op, now);
    return result ? Errc::ok : result.error().code;
  }
};

TEST(SegmentTable, GenerationsOnlyGrowAndARepeatIsFine) {
  SegmentRig rig;
  const SegmentId id = rig.segments[4];
  EXPECT_EQ(rig.seal(rig.sealed(id, 2)), Errc::ok);
  EXPECT_EQ(rig.seal(rig.sealed(id, 2)), Errc::ok);
  EXPECT_EQ(rig.seal(rig.sealed(id, 1)), Errc::conflict);
  auto other = rig.sealed(id, 2);
  other.segments[0].nodes[0] = NodeId{9};
  EXPECT_EQ(rig.seal(other), Errc::conflict);
  EXPECT_EQ(rig.seal(rig.sealed(id, 3)), Errc::ok);
  EXPECT_EQ(rig.shards.segment(id).generation, 3u);
  EXPECT_EQ(rig.seal(rig.sealed(make_segment_id(SiteId{0}, ShardId{2}, 999), 1)), Errc::stale);
  EXPECT_EQ(rig.seal(rig.sealed(id, 4, {4, 2})), Errc::invalid_argument);
  auto shorter = rig.sealed(id, 5);
  shorter.segments[0].length = 4999;
  EXPECT_EQ(rig.seal(shorter), Errc::invalid_argument);
}

TEST(SegmentTable, OneRefusedSealLeavesNoTraceOfTheOthers) {
  SegmentRig rig;
  SealSegments op = rig.sealed(rig.segments[0], 1);
  op.segments.push_back(rig.sealed(make_segment_id(SiteId{0}, ShardId{0}, 999), 1).segments[0]);
  EXPECT_EQ(rig.seal(op), Errc::stale);
  EXPECT_EQ(rig.shards.segment(rig.segments[0]).state, SegmentState::open);
}

TEST(SegmentTable, OnlyWhatNobodyCanReferToIsRemoved) {
  SegmentRig rig;
  const SegmentId id = rig.segments[0];
  const auto try_remove = [&](Hlc safe) {
    RemoveSegments op;
    op.safe = safe;
    op.segments = {id};
    return rig.shards.call(shard_of(id), op, rig.now)->records.size();
  };
  ASSERT_EQ(rig.seal(rig.sealed(id, 1)), Errc::ok);
  rig.delta(7, 1, id);
  rig.now = later(rig.now, 1h);
  EXPECT_EQ(try_remove(rig.now), 0u);  // live
  rig.delta(7, -1, id);
  rig.now = later(rig.now, 11min);
  EXPECT_EQ(try_remove(rig.now), 0u);  // the index still has the chunk
  rig.reclaim(rig.home(7).value, rig.now);
  EXPECT_EQ(try_remove(rig.now), 0u);  // only just
  rig.now = later(rig.now, 31s);
  EXPECT_EQ(try_remove(Hlc{}), 0u);  // messages may be under way
  EXPECT_EQ(try_remove(rig.now), 1u);
  EXPECT_EQ(rig.shards.segment(id).state, SegmentState::dead);
}

TEST(SegmentTable, AFreshSegmentWaitsForItsWritersCommits) {
  SegmentRig rig;
  const SegmentId id = rig.segments[0];
  ASSERT_EQ(rig.seal(rig.sealed(id, 1)), Errc::ok);
  rig.delta(7, 1, id);
  rig.delta(7, -1, id);
  rig.now = later(rig.now, 62s);
  rig.reclaim(rig.home(7).value, rig.now);
  rig.now = later(rig.now, 62s);
  RemoveSegments op{rig.now, {id}, {}};
  EXPECT_TRUE(rig.shards.call(shard_of(id), op, rig.now)->records.empty());
  rig.now = later(rig.now, 60s);
  op.safe = rig.now;
  EXPECT_EQ(rig.shards.call(shard_of(id), op, rig.now)->records.size(), 1u);
}

TEST(Holdings, TellWhatOneMoreFailureCosts) {
  SegmentRecord record;
  record.id = SegmentId{1};
  record.state = SegmentState::sealed;
  record.layout = {2, 1};
  record.generation = 1;
  record.nodes = {NodeId{1}, NodeId{2}, NodeId{3}};
  record.length = 5000;
  const auto judged = [&](std::vector<u16> up, u16 total, ShardMask lost = 0) {
    Survey survey;
    survey.add(record);
    Losses losses;
    losses.set(record, lost, 0);
    StorageSummary ask;
    for (const u16 id : up) ask.up.push_back(NodeId{id});
    ask.nodes_total = total;
    StorageSummaryReply reply;
    survey.judge(ask, reply);
    losses.judge(ask, reply);
    return reply;
  };
  EXPECT_EQ(judged({}, 3).at_risk, 0u);  // nothing refers to it
  EXPECT_EQ(judged({1, 2, 3}, 3).reclaimable_bytes, 5000u);
  record.live_bytes = 5000;
  EXPECT_EQ(judged({1, 2, 3}, 3).full, 5000u);
  EXPECT_EQ(judged({1, 2, 3}, 6).degraded, 5000u);
  EXPECT_EQ(judged({1, 2}, 3).at_risk, 5000u);
  EXPECT_EQ(judged({1}, 3).at_risk, 5000u);
  EXPECT_EQ(judged({}, 3).raw_bytes, 3u * 2560);
  // Up, and without the shard that it should hold.
  const StorageSummaryReply lacking = judged({1, 2, 3}, 3, 0b010);
  EXPECT_EQ(lacking.full, 0u);
  EXPECT_EQ(lacking.at_risk, 5000u);
  EXPECT_EQ(lacking.missing_shards, 1u);
  EXPECT_EQ(lacking.unreadable_segments, 0u);
  EXPECT_EQ(judged({1, 3}, 3, 0b010).missing_shards, 0u);  // its absence says so already
  EXPECT_EQ(judged({1, 2, 3}, 3, 0b011).unreadable_segments, 1u);
}

TEST(Placement, MovesOnlyWhatItMust) {
  std::vector<NodeId> nodes;
  for (u16 i = 1; i <= 8; ++i) nodes.push_back(NodeId{i});
  std::vector<NodeId> fewer(nodes.begin(), nodes.end() - 1);
  std::map<NodeId, int> load;
  for (u64 n = 1; n <= 4000; ++n) {
    const auto before = choose_nodes(SegmentId{n}, nodes, 6), after = choose_nodes(SegmentId{n}, fewer, 6);
    for (const NodeId node : before) {
      load[node] += 1;
      if (node != NodeId{8}) EXPECT_NE(std::ranges::find(after, node), after.end());
    }
  }
  for (const auto& [node, count] : load) EXPECT_NEAR(count, 3000, 150) << node.value;
}

TEST(Placement, WidestLayoutSurvivesOneMoreFailure) {
  EXPECT_EQ(widest_layout(1, 1), (Layout{1, 0}));
  EXPECT_EQ(widest_layout(1, 2), std::nullopt);
  EXPECT_EQ(widest_layout(2, 3), (Layout{1, 1}));
  EXPECT_EQ(widest_layout(5, 6), (Layout{2, 1}));
  EXPECT_EQ(widest_layout(9, 9), (Layout{4, 2}));
  EXPECT_EQ(widest_layout(0, 0), std::nullopt);
}

}  // namespace
}  // namespace claudefs::data
