// Goal: the background work brings every segment to the redundancy it should have, frees what nobody refers
// to, and never what somebody does. Method: a cluster of fakes with real services; nodes go, come back and
// lose shards.
#include <gtest/gtest.h>

#include "base/tests/with_mutant.h"
#include "data/tests/service_rig.h"
#include "meta/commands.h"

namespace claudefs::data {
namespace {

using namespace std::chrono_literals;
using Rig = ServiceRig;

TEST(Background, OpenSegmentsAreSealedAndLeaveTheJournals) {
  for (const u16 count : {1, 2, 3, 6}) {
    SCOPED_TRACE(count);
    Rig rig(count);
    const std::vector<Buffer> plain = noises(8, 6000, 1);
    const StoredChunks stored = rig.store(plain);
    EXPECT_GT(rig.journal_segments(), 0u);
    rig.world.run_for(8s);
    const SegmentRecord record = rig.segment_of(stored);
    EXPECT_TRUE(rig.whole(record));
    EXPECT_EQ(record.layout, policy_layout(count));
    EXPECT_EQ(rig.journal_segments(), 0u);
    EXPECT_EQ(rig.shards_held(), record.nodes.size());
    rig.expect_reads(plain, stored);
  }
}

TEST(Background, SealingGoesOnWithoutOneOfTheJournals) {
  Rig rig(3);
  const std::vector<Buffer> plain = noises(4, 6000, 1);
  const StoredChunks stored = rig.store(plain);
  const NodeId away = rig.segment_of(stored).journals[0];
  rig.set_down(away.value, true);
  rig.world.run_for(20s);
  EXPECT_TRUE(rig.whole(rig.segment_of(stored)));
  EXPECT_EQ(rig.segment_of(stored).layout, (Layout{1, 1}));
  EXPECT_EQ(rig.journal_segments(), 1u);
  rig.set_down(away.value, false);
  rig.world.run_for(
      2min);  // it asks by itself what became of its segments; and the policy's layout is restored
  EXPECT_EQ(rig.journal_segments(), 0u);
  EXPECT_EQ(rig.segment_of(stored).layout, (Layout{2, 1}));
  rig.expect_reads(plain, stored);
}

TEST(Background, AnEmptyJournalIsNotTakenForAnEmptySegment) {
  Rig rig(3);
  const std::vector<Buffer> plain = noises(4, 6000, 1);
  // Acknowledged, not committed yet: the table knows of no live byte.
  const Result<StoredChunks> acknowledged = rig.wait(rig.io->store(plain));
  ASSERT_TRUE(acknowledged);
  const StoredChunks& stored = *acknowledged;
  const SegmentRecord open = rig.segment_of(stored);
  // One journal was lost with its disk; the other one's node is away.
  rig.node(open.journals[0].value).journal.segments_held.clear();
  rig.set_down(open.journals[1].value, true);
  rig.world.run_for(30s);
  EXPECT_EQ(rig.segment_of(stored).state, SegmentState::open);
  rig.set_down(open.journals[1].value, false);
  rig.world.run_for(30s);
  EXPECT_TRUE(rig.whole(rig.segment_of(stored)));
  rig.refer(stored);
  rig.expect_reads(plain, stored);
}

TEST(Background, SegmentsThatNeverGotAnythingAreForgotten) {
  Rig rig(3);
  const auto granted = rig.shards.call(ShardId{2}, GrantSegments{SessionId{1}, 1, {NodeId{1}, NodeId{2}}},
                                       hlc_of(rig.env.wall_now()));
  const auto ahead =
      rig.shards.call(ShardId{2}, GrantSegments{SessionId{1}, 1, {}}, hlc_of(rig.env.wall_now()));
  rig.world.run_for(10s);
  EXPECT_EQ(rig.shards.segment(granted->records[0].id).state, SegmentState::dead);
  EXPECT_EQ(rig.shards.segment(ahead->records[0].id).state, SegmentState::open);
  rig.world.run_for(11min);
  EXPECT_EQ(rig.shards.segment(ahead->records[0].id).state, SegmentState::dead);
}

TEST(Background, AGoneNodesShardsAreMadeAnewAndThePolicyComesBackWithIt) {
  for (const u16 count : {3, 6, 7}) {
    SCOPED_TRACE(count);
    Rig rig(count);
    const std::vector<Buffer> plain = noises(30, 90'000, 1);
    const StoredChunks stored = rig.store(plain);
    const NodeId away = rig.segment_of(stored).nodes[1];
    rig.set_down(away.value, true);
    rig.world.run_for(40s);
    EXPECT_EQ(rig.segment_of(stored).nodes[1], away);  // it may only be restarting
    rig.world.run_for(3min);
    const SegmentRecord moved = rig.segment_of(stored);
    // Six with 4+2: five shards left survive one more, and no layout of five nodes survives two.
    if (count != 6) EXPECT_EQ(std::ranges::count(moved.nodes, away), 0);
    rig.expect_reads(plain, stored);
    rig.set_down(away.value, false);
    rig.world.run_for(25min);
    EXPECT_EQ(rig.segment_of(stored).layout, policy_layout(count));
    EXPECT_TRUE(rig.whole(rig.segment_of(stored)));
    // And what the former layouts left on it is gone.
    std::size_t wanted = 0;
    std::set<SegmentId> segments;
    for (const StoredChunk& chunk : stored.chunks) segments.insert(chunk.ref.hint.segment);
    for (const SegmentId id : segments) wanted += rig.shards.segment(id).nodes.size();
    EXPECT_EQ(rig.shards_held(), wanted);
    rig.expect_reads(plain, stored);
  }
}

TEST(Background, LostAndDamagedShardsAreReplaced) {
  Rig rig(3);
  const std::vector<Buffer> plain = noises(20, 90'000, 1);
  const StoredChunks stored = rig.store(plain);
  const SegmentRecord before = rig.segment_of(stored);
  rig.node(before.nodes[2].value).shards.shards.erase({before.id, 2, before.generation});
  rig.world.run_for(6min);
  const SegmentRecord after = rig.segment_of(stored);
  EXPECT_GT(after.generation, before.generation);
  EXPECT_TRUE(rig.whole(after));
  rig.node(after.nodes[0].value).shards.damaged.insert({after.id, 0, after.generation});
  rig.expect_reads(plain, stored);  // finds it
  rig.world.run_for(6min);
  EXPECT_GT(rig.segment_of(stored).generation, after.generation);
  const u64 degraded = rig.io->stats().degraded_reads;
  rig.expect_reads(plain, stored);
  rig.expect_reads(plain, stored);
  EXPECT_LE(rig.io->stats().degraded_reads, degraded + 1);
}

TEST(Background, WhatNobodyRefersToIsFreedAndNothingElse) {
  Rig rig(3);
  const std::vector<Buffer> gone = noises(30, 90'000, 1), kept = noises(30, 90'000, 500),
                            little = noises(5, 5000, 900);
  const StoredChunks a = rig.store(gone), b = rig.store(kept), c = rig.store(little);
  rig.world.run_for(10s);
  const std::size_t all = rig.shards_held();
  rig.refer(a, -1);
  rig.refer(c, -1);
  rig.world.run_for(4s);
  EXPECT_EQ(rig.shards_held(), all);
  rig.world.run_for(15min);
  for (const StoredChunk& chunk : a.chunks) EXPECT_FALSE(rig.shards.chunk(chunk.ref.hash));
  std::set<SegmentId> kept_segments;
  for (const StoredChunk& chunk : b.chunks) kept_segments.insert(chunk.ref.hint.segment);
  EXPECT_EQ(rig.shards_held(), kept_segments.size() * 3);
  rig.expect_reads(kept, b);
}

TEST(Background, NothingIsFreedWhileAShardDoesNotAnswer) {
  Rig rig(3);
  const StoredChunks stored = rig.store(noises(10, 90'000, 1));
  rig.shards.handle(meta::OutboxStatus::kKind, [](MiniShard& shard, const Buffer&) -> Result<Buffer> {
    if (shard.shard() == ShardId{3}) return fail(Errc::timed_out, "no leader");
    return wire::encode(meta::OutboxStatusReply{shard.hlc(), shard.hlc()});
  });
  rig.refer(stored, -1);
  rig.world.run_for(20min);
  for (const StoredChunk& chunk : stored.chunks) EXPECT_TRUE(rig.shards.chunk(chunk.ref.hash));
}

// A commit's message to the index arrived late, and the one that this caused is still under way.
TEST(Background, ASegmentStaysWhileTheIndexMayStillPointToIt) {
  Rig rig(3);
  const std::vector<Buffer> plain = noises(10, 90'000, 1);
  const Result<StoredChunks> stored = rig.wait(rig.io->store(plain));
  ASSERT_TRUE(stored);
  const auto now = [&] { return hlc_of(rig.env.wall_now()); };
  rig.shards.hold(meta::ChunkDeltas::kKind);
  rig.shards.hold(SegmentDelta::kKind);
  for (const StoredChunk& chunk : stored->chunks) {
    meta::ChunkDeltas op;
    op.deltas.push_back({chunk.ref.hash, 1, chunk.ref.hint, chunk.ref.chunk_length});
    rig.shards.emit(ShardId{0}, meta::shard_of_chunk(chunk.ref.hash, rig.shards.count()), op, now());
  }
  rig.world.run_for(15min);  // the writer's promise is long over
  rig.shards.release(meta::ChunkDeltas::kKind, now());
  rig.world.run_for(1min);
  for (const StoredChunk& chunk : stored->chunks)
    EXPECT_EQ(rig.shards.segment(chunk.ref.hint.segment).state, SegmentState::sealed);
  rig.shards.release(SegmentDelta::kKind, now());
  rig.world.run_for(1min);
  rig.expect_reads(plain, *stored);
}

// Files in one map, as meta/ would keep them.
struct FakeFiles {
  struct File {
    u64 data_version = 1;
    std::vector<meta::Extent> extents;
    u32 commits = 0;
  };
  std::map<InodeId, File> files;
  MiniShards& shards;
  Hlc now{};
  explicit FakeFiles(MiniShards& s) : shards(s) {
    shards.handle(meta::OpenSession::kKind, [](MiniShard&, const Buffer&) -> Result<Buffer> {
      meta::OpenSessionReply reply;
      reply.session = SessionId{99};
      reply.domain_key.bytes[0] = std::byte{42};
      return wire::encode(reply);
    });
    shards.handle(meta::ListInline::kKind, [this](MiniShard& shard, const Buffer&) -> Result<Buffer> {
      meta::ListInlineReply reply;
      for (const auto& [id, file] : files) {
        const bool held =
            std::ranges::any_of(file.extents, [](const meta::Extent& e) { return e.content.index() == 0; });
        if (id.shard() == shard.shard() && held) reply.inodes.push_back(id);
      }
      return wire::encode(reply);
    });
    shards.handle(meta::GetExtents::kKind, [this](MiniShard&, const Buffer& body) -> Result<Buffer> {
      const auto op = *wire::decode<meta::GetExtents>(body);
      meta::GetExtentsReply reply;
      reply.inode.data_version = files[op.inode].data_version;
      for (const meta::Extent& extent : files[op.inode].extents) {
        if (extent.offset + extent.length <= op.offset) continue;
        reply.truncated = reply.extents.size() == 3;  // small pages
        if (reply.truncated) break;
        reply.extents.push_back(extent);
      }
      return wire::encode(reply);
    });
    shards.handle(meta::RewriteContents::kKind, [this](MiniShard&, const Buffer& body) -> Result<Buffer> {
      meta::RewriteContents::Reply reply;
      for (const meta::CommitWrite& op : wire::decode<meta::RewriteContents>(body)->rewrites)
        if (rewrite(op)) reply.done.push_back(op.inode);
      return wire::encode(reply);
    });
  }
  bool rewrite(const meta::CommitWrite& op) {
    File& file = files[op.inode];
    if (op.if_data_version != file.data_version) return false;
    EXPECT_TRUE(op.keep_data_version);
    EXPECT_NE(op.valid_until, Hlc{});
    for (const meta::Extent& extent : op.extents) {
      std::erase_if(file.extents, [&](const meta::Extent& old) {
        return old.offset >= extent.offset && old.offset + old.length <= extent.offset + extent.length;
      });
      file.extents.push_back(extent);
    }
    std::ranges::sort(file.extents, {}, &meta::Extent::offset);
    ++file.commits;
    return true;
  }
};

TEST(Background, InlineContentMovesToChunks) {
  Rig rig(3);
  FakeFiles fake(rig.shards);
  std::map<InodeId, Buffer> expected;
  for (u64 n = 1; n <= 20; ++n) {
    const InodeId id = InodeId::make(SiteId{0}, ShardId{static_cast<u16>(n % 4)}, n);
    const Buffer content = noise(n * 3001, n);
    expected[id] = content;
    for (u64 at = 0; at < content.size(); at += 2000) {
      const u64 length = std::min<u64>(2000, content.size() - at);
      fake.files[id].extents.push_back({at, length, meta::InlineData{content.slice(at, length)}});
    }
  }
  rig.world.run_for(20s);
  for (const auto& [id, content] : expected) {
    u64 end = 0;
    for (const meta::Extent& extent : fake.files[id].extents) {
      ASSERT_EQ(extent.offset, end);
      ASSERT_EQ(extent.content.index(), 1u);
      const auto& ref = std::get<meta::ChunkRef>(extent.content);
      const Result<Buffer> plain = rig.wait(rig.io->read(ref));
      ASSERT_TRUE(plain);
      EXPECT_TRUE(plain->slice(ref.offset_in_chunk, extent.length) ==
                  content.slice(extent.offset, extent.length));
      end += extent.length;
    }
    EXPECT_EQ(end, content.size());
  }
}

// Random writes and deletions while one node at a time is away: what is referred to always reads back; once
// all is deleted, nothing is left on any node.
TEST(Background, SurvivesARandomLife) {
  for (u64 seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    Rig rig(seed % 2 == 0 ? 6 : 3, seed);
    std::vector<std::pair<std::vector<Buffer>, StoredChunks>> live;
    u16 away = 0;
    for (int step = 0; step < 60; ++step) {
      switch (random() % 6) {
        case 0:
        case 1: {
          std::vector<Buffer> plain = noises(random() % 12 + 1, random() % 2 == 0 ? 4096 : 70'000, random());
          StoredChunks stored = rig.store(plain);
          live.emplace_back(std::move(plain), std::move(stored));
          break;
        }
        case 2:
          if (!live.empty()) {
            const std::size_t victim = random() % live.size();
            rig.refer(live[victim].second, -1);
            live.erase(live.begin() + static_cast<std::ptrdiff_t>(victim));
          }
          break;
        case 3:
          if (away != 0)
            rig.set_down(std::exchange(away, 0), false);
          else
            rig.set_down(away = static_cast<u16>(random() % rig.nodes.size() + 1), true);
          // Redundancy counts: the next one goes only when this one's absence is made good.
          rig.world.run_for(4min);
          break;
        default:
          rig.world.run_for(std::chrono::seconds(random() % 30));
      }
      if (step % 10 == 9)
        for (const auto& [plain, stored] : live) rig.expect_reads(plain, stored);
    }
    if (away != 0) rig.set_down(away, false);
    rig.world.run_for(10min);
    for (const auto& [plain, stored] : live) {
      rig.expect_reads(plain, stored);
      EXPECT_TRUE(rig.whole(rig.segment_of(stored)));
      EXPECT_EQ(rig.segment_of(stored).layout, policy_layout(rig.nodes.size()));
      rig.refer(stored, -1);
    }
    rig.world.run_for(15min);
    EXPECT_EQ(rig.shards_held(), 0u);
    EXPECT_EQ(rig.journal_segments(), 0u);
    for (u16 shard = 0; shard < 4; ++shard)
      for (const auto& [key, value] : rig.shards.shard(ShardId{shard}).rows)
        EXPECT_EQ(key, "K") << key.size();
  }
}

}  // namespace
}  // namespace claudefs::data
