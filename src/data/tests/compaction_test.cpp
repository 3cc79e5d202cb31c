// Goal: dead space comes back, soon and without anything that lives being lost. Method: a cluster of fakes
// with real services; files' chunks die in part, and what is left must read, with the bytes on the nodes
// within what the policy allows.
#include <gtest/gtest.h>

#include "data/detail/compactor.h"
#include "data/tests/service_rig.h"

namespace claudefs::data {
namespace {

using namespace std::chrono_literals;

struct Rig : ServiceRig {
  using ServiceRig::ServiceRig;
  void drop(const StoredChunks& stored, const std::function<bool(std::size_t)>& which) {
    StoredChunks gone;
    for (std::size_t i = 0; i < stored.chunks.size(); ++i)
      if (which(i)) gone.chunks.push_back(stored.chunks[i]);
    refer(gone, -1);
  }
  u64 bytes_held() {
    u64 bytes = 0;
    for (auto& [id, node] : nodes)
      for (const auto& [key, content] : node->shards.shards) bytes += content.size();
    return bytes;
  }
  void expect_reads_of(const std::vector<Buffer>& plain, const StoredChunks& stored,
                       const std::function<bool(std::size_t)>& which) {
    for (std::size_t i = 0; i < plain.size(); ++i) {
      if (!which(i)) continue;
      const Result<Buffer> back = wait(io->read(stored.chunks[i].ref));
      ASSERT_TRUE(back) << i << ": " << back.error().to_string();
      EXPECT_TRUE(*back == plain[i]) << i;
    }
  }
  // Live bytes by the index against those of the table, segment by segment.
  void expect_counts() {
    std::map<SegmentId, i64> counted;
    for (u16 i = 0; i < shards.count(); ++i) {
      for (const auto& [key, value] : shards.shard(ShardId{i}).rows) {
        if (!key.starts_with(kChunkPrefix)) continue;
        const auto record = wire::decode<ChunkRecord>(as_bytes(value));
        ASSERT_TRUE(record);
        counted[record->location.segment] += record->location.length;
      }
    }
    for (const auto& [segment, bytes] : counted) EXPECT_EQ(shards.segment(segment).live_bytes, bytes);
  }
};

bool odd(std::size_t i) { return i % 2 == 1; }
bool even(std::size_t i) { return i % 2 == 0; }

TEST(Compaction, WhatDiesWholeIsGoneWithinSeconds) {
  Rig rig(3);
  rig.store(noises(40, 90'000, 1));
  const StoredChunks gone = rig.store(noises(40, 90'000, 100));
  const u64 before = rig.bytes_held();
  rig.drop(gone, [](std::size_t) { return true; });
  rig.world.run_for(20s);
  EXPECT_LT(rig.bytes_held(), before * 6 / 10);
}

TEST(Compaction, HalfDeadSegmentsGiveBackTheirDeadHalf) {
  for (const u16 count : {1, 3, 6}) {
    SCOPED_TRACE(count);
    Rig rig(count);
    const std::vector<Buffer> plain = noises(80, 60'000, 1);
    const StoredChunks stored = rig.store(plain);
    const u64 before = rig.bytes_held();
    rig.drop(stored, odd);
    EXPECT_GT(rig.status().reclaimable_bytes, 40u * 60'000);
    rig.world.run_for(40s);
    EXPECT_LT(rig.bytes_held(), before * 55 / 100);
    EXPECT_EQ(rig.shards.segment(stored.chunks[0].ref.hint.segment).state, SegmentState::dead);
    rig.expect_reads_of(plain, stored, even);
    rig.expect_counts();
    const StorageSummaryReply status = rig.status();
    EXPECT_GE(status.moved_bytes, 40u * 60'000);
    EXPECT_GE(status.reclaimed_bytes, 80u * 60'000);
    EXPECT_LT(status.reclaimable_bytes, status.live_bytes / 10);
    // Another client has no memory of where things were.
    rig.io = rig.chunk_io();
    rig.expect_reads_of(plain, stored, even);
  }
}

TEST(Compaction, AChunkThatDiesOrIsTakenAgainMeanwhileIsCountedRightly) {
  Rig rig(3);
  const std::vector<Buffer> plain = noises(60, 60'000, 1);
  const StoredChunks stored = rig.store(plain);
  rig.drop(stored, odd);
  for (int i = 0; i < 60; ++i) {
    rig.world.run_for(400ms);
    StoredChunks one;
    one.chunks.push_back(stored.chunks[static_cast<std::size_t>(i / 2 * 2)]);
    rig.refer(one, even(static_cast<std::size_t>(i)) ? 1 : -1);
  }
  rig.world.run_for(40s);
  rig.expect_reads_of(plain, stored, even);
  rig.expect_counts();
}

TEST(Compaction, WaitsForAWriterThatHasNotCommittedYet) {
  Rig rig(3);
  const std::vector<Buffer> plain = noises(40, 60'000, 1);
  const Result<StoredChunks> stored = rig.wait(rig.io->store(plain));
  ASSERT_TRUE(stored);
  rig.world.run_for(100s);
  rig.refer(*stored);  // before the promise has run out
  rig.world.run_for(100s);
  rig.expect_reads(plain, *stored);
  rig.expect_counts();
}

TEST(Compaction, DamageIsNotCarriedAlong) {
  Rig rig(3);
  const std::vector<Buffer> plain = noises(40, 60'000, 1);
  const StoredChunks stored = rig.store(plain);
  // One holder lies: its checksums hold and its bytes are others.
  const SegmentRecord record = rig.segment_of(stored);
  std::string& bytes = rig.node(record.nodes[0].value).shards.shards.at({record.id, 0, record.generation});
  for (std::size_t at = 100; at < bytes.size(); at += 4096) bytes[at] = static_cast<char>(bytes[at] ^ 1);
  rig.drop(stored, odd);
  rig.world.run_for(40s);
  EXPECT_EQ(rig.shards.segment(record.id).state, SegmentState::dead);
  rig.expect_reads_of(plain, stored, even);
}

TEST(Compaction, AFullClusterCanStillCompact) {
  Rig rig(3);
  const std::vector<Buffer> plain = noises(60, 60'000, 1);
  const StoredChunks stored = rig.store(plain);
  const u64 before = rig.bytes_held();
  for (auto& [id, node] : rig.nodes) node->shards.capacity = node->shards.used_bytes() * 16 / 15;
  const Result<StoredChunks> refused = rig.wait(rig.io->store(noises(20, 60'000, 500)));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::no_space);
  rig.drop(stored, [](std::size_t i) { return i % 16 != 0; });
  rig.world.run_for(60s);
  EXPECT_LT(rig.bytes_held(), before / 3);
  rig.expect_reads_of(plain, stored, [](std::size_t i) { return i % 16 == 0; });
}

SegmentRecord segment(u64 id, u32 length, i64 live) {
  SegmentRecord record;
  record.id = SegmentId{id};
  record.state = SegmentState::sealed;
  record.length = length;
  record.live_bytes = live;
  record.indexed_bytes = length;
  record.changed = later(Hlc{}, 1h);
  return record;
}

TEST(CompactionPolicy, TakesTheCheapestUntilEnoughIsWon) {
  std::vector<SegmentRecord> records;
  for (u64 i = 0; i < 10; ++i) records.push_back(segment(i + 1, 1000, 1000 - 40 * static_cast<i64>(i)));
  // 8200 live, 1800 dead; 1000 may stay.
  CompactionPolicy policy{1000.0 / 8200, 0.99};
  const Hlc now = later(Hlc{}, 2h);
  std::vector<u64> ids;
  for (const SegmentRecord& record : choose_for_compaction(records, now, policy))
    ids.push_back(record.id.value);
  EXPECT_EQ(ids, (std::vector<u64>{10, 9, 8}));
  // Much of what changed only just will be dead soon by itself.
  records.back().changed = now;
  ids.clear();
  for (const SegmentRecord& record : choose_for_compaction(records, now, policy))
    ids.push_back(record.id.value);
  EXPECT_EQ(ids, (std::vector<u64>{9, 8, 7}));
}

TEST(CompactionPolicy, LeavesAloneWhatIsWorthNothingOrNotSettled) {
  std::vector<SegmentRecord> records{segment(1, 1000, 0), segment(2, 1000, 960), segment(3, 1000, 300),
                                     segment(4, 1000, 300)};
  records[2].indexed_bytes = 900;
  records[2].granted = later(Hlc{}, 119min);
  const std::vector<SegmentRecord> chosen = choose_for_compaction(records, later(Hlc{}, 2h), {});
  ASSERT_EQ(chosen.size(), 1u);
  EXPECT_EQ(chosen[0].id, SegmentId{4});
  EXPECT_EQ(choose_for_compaction(records, later(Hlc{}, 3h), {}).size(), 2u);
}

}  // namespace
}  // namespace claudefs::data
