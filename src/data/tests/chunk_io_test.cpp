// Goal: what store() acknowledged reads back as long as no more nodes fail than the layout survives; nothing
// else is ever returned. Method: real handlers over stores in memory that are taken down, filled and damaged.
#include <gtest/gtest.h>

#include <random>

#include "data/messages.h"
#include "data/tests/fake_cluster.h"

namespace claudefs::data {
namespace {

using namespace std::chrono_literals;

Buffer noise(std::size_t size, u64 seed) {
  std::mt19937_64 random(seed);
  Buffer out = Buffer::allocate(size);
  for (std::size_t i = 0; i < size; ++i) out.data()[i] = static_cast<std::byte>(random());
  return out;
}
std::vector<Buffer> noises(std::size_t count, std::size_t size, u64 seed = 100) {
  std::vector<Buffer> out;
  for (std::size_t i = 0; i < count; ++i) out.push_back(noise(size, seed + i));
  return out;
}
struct Rig : FakeCluster {
  std::unique_ptr<ChunkIo> io;
  explicit Rig(u16 count, u64 cache_bytes = 0) : FakeCluster(count), io(chunk_io(cache_bytes)) {}
  StoredChunks store(const std::vector<Buffer>& plain) {
    Result<StoredChunks> stored = wait(io->store(plain));
    EXPECT_TRUE(stored) << stored.error().to_string();
    if (!stored) return {};
    refer(*stored);
    return std::move(*stored);
  }
  void expect_reads(const std::vector<Buffer>& plain, const StoredChunks& stored) {
    ASSERT_EQ(plain.size(), stored.chunks.size());
    for (std::size_t i = 0; i < plain.size(); ++i) {
      const Result<Buffer> back = wait(io->read(stored.chunks[i].ref));
      ASSERT_TRUE(back) << i << ": " << back.error().to_string();
      EXPECT_TRUE(*back == plain[i]) << i;
    }
  }
  Errc store_error(std::vector<Buffer> plain) {
    const Result<StoredChunks> stored = wait(io->store(std::move(plain)));
    return stored ? Errc::ok : stored.error().code;
  }
};

TEST(ChunkIo, RoundTripsInEveryClusterSize) {
  for (const u16 count : {1, 2, 3, 6, 7}) {
    SCOPED_TRACE(count);
    Rig rig(count);
    std::vector<Buffer> little = noises(5, 3000), much = noises(40, 100'000, 500);
    much.push_back(Buffer::zeros(1 << 20));
    const StoredChunks a = rig.store(little), b = rig.store(much);
    rig.expect_reads(little, a);
    rig.expect_reads(much, b);
    EXPECT_EQ(rig.shards.segment(a.chunks[0].ref.hint.segment).state, SegmentState::open);
    const SegmentRecord sealed = rig.shards.segment(b.chunks[0].ref.hint.segment);
    EXPECT_EQ(sealed.state, SegmentState::sealed);
    EXPECT_EQ(sealed.layout, policy_layout(count));
    EXPECT_EQ(rig.io->stats().degraded_reads, 0u);
    EXPECT_GT(b.valid_until, hlc_of(rig.env.wall_now()));
  }
}

TEST(ChunkIo, EqualContentIsStoredOnce) {
  Rig rig(3);
  std::vector<Buffer> plain = noises(10, 80'000);
  plain.push_back(plain[3]);
  const StoredChunks first = rig.store(plain);
  EXPECT_EQ(first.chunks[10].ref, first.chunks[3].ref);
  EXPECT_EQ(first.chunks[10].new_stored_bytes, 0u);
  EXPECT_GT(first.chunks[3].new_stored_bytes, 0u);
  const u64 writes = rig.node(1).shards.writes;
  const StoredChunks second = rig.store(plain);
  for (std::size_t i = 0; i < plain.size(); ++i) {
    EXPECT_EQ(second.chunks[i].ref, first.chunks[i].ref);
    EXPECT_EQ(second.chunks[i].new_stored_bytes, 0u);
  }
  EXPECT_EQ(rig.node(1).shards.writes, writes);
  EXPECT_EQ(rig.io->stats().chunks_deduplicated, 12u);
}

TEST(ChunkIo, SegmentsStayBelowTheirLimitAndAreEven) {
  Rig rig(3);
  const StoredChunks stored = rig.store(noises(50, 130'000));
  std::map<SegmentId, u64> bytes;
  for (const StoredChunk& chunk : stored.chunks) bytes[chunk.ref.hint.segment] += chunk.ref.hint.length;
  EXPECT_EQ(bytes.size(), 4u);
  for (const auto& [id, size] : bytes) {
    EXPECT_LE(size, u64{2} << 20);
    EXPECT_GT(size, u64{1} << 20);
  }
}

// Every set of nodes that the layout survives.
TEST(ChunkIo, EveryToleratedErasureReadsBack) {
  for (const u16 count : {2, 3, 6}) {
    Rig rig(count);
    const std::vector<Buffer> plain = noises(12, 90'000);
    const StoredChunks stored = rig.store(plain);
    for (u32 mask = 1; mask < 1u << count; ++mask) {
      if (std::popcount(mask) > policy_layout(count).parity_shards) continue;
      SCOPED_TRACE(fmt::format("{} nodes, down: {:b}", count, mask));
      for (u16 i = 1; i <= count; ++i) rig.node(i).down = (mask >> (i - 1) & 1) != 0;
      rig.expect_reads(plain, stored);
    }
    EXPECT_GT(rig.io->stats().degraded_reads, 0u);
  }
}

TEST(ChunkIo, AHungNodeIsReadAround) {
  Rig rig(3);
  const std::vector<Buffer> plain = noises(6, 90'000);
  const StoredChunks stored = rig.store(plain);
  rig.node(2).hung = true;
  const runtime::Instant began = rig.env.now();
  rig.expect_reads(plain, stored);
  EXPECT_LT(rig.env.now() - began, 3s);
}

TEST(ChunkIo, DamagedShardsAreRebuiltAndLyingOnesFoundOut) {
  Rig rig(6);
  const std::vector<Buffer> plain = noises(12, 90'000);
  const StoredChunks stored = rig.store(plain);
  const SegmentRecord record = rig.shards.segment(stored.chunks[0].ref.hint.segment);
  FakeNode& damaged = rig.node(record.nodes[0].value);
  damaged.shards.damaged.insert({record.id, 0, record.generation});
  // This one passes its own checksums with wrong bytes: only the chunk's hash can tell.
  for (char& c : rig.node(record.nodes[1].value).shards.shards.at({record.id, 1, record.generation})) c ^= 1;
  // A chunk that needs both at once may read either way of the two; all others must.
  u32 good = 0;
  for (std::size_t i = 0; i < plain.size(); ++i) {
    const Result<Buffer> back = rig.wait(rig.io->read(stored.chunks[i].ref));
    if (back) EXPECT_TRUE(*back == plain[i]);
    if (back)
      ++good;
    else
      EXPECT_EQ(back.error().code, Errc::corrupt);
  }
  EXPECT_GE(good, 6u);
  ShardHolds ask;
  ask.keys = {{record.id, 0, record.generation}};
  const auto held = rig.wait(rig.calls.call(record.nodes[0], ask, 1s));
  EXPECT_EQ(held->message.held, std::vector<u8>{0});  // so that repair replaces it
}

TEST(ChunkIo, TooManyLostIsAnErrorInTime) {
  Rig rig(3);
  const std::vector<Buffer> plain = noises(4, 90'000);
  const StoredChunks stored = rig.store(plain);
  const SegmentRecord record = rig.shards.segment(stored.chunks[0].ref.hint.segment);
  rig.node(record.nodes[0].value).down = rig.node(record.nodes[1].value).down = true;
  EXPECT_EQ(rig.wait(rig.io->read(stored.chunks[0].ref)).error().code, Errc::unavailable);
  rig.node(record.nodes[0].value).down = rig.node(record.nodes[1].value).down = false;
  rig.world.run_for(5s);
  rig.node(record.nodes[0].value).shards.shards.clear();
  rig.node(record.nodes[1].value).shards.shards.clear();
  EXPECT_EQ(rig.wait(rig.io->read(stored.chunks[0].ref)).error().code, Errc::corrupt);
}

TEST(ChunkIo, WritesGoOnWithNodesDown) {
  for (const bool known : {false, true}) {
    SCOPED_TRACE(known);
    Rig rig(3);
    rig.node(2).down = true;
    rig.node(2).hidden = known;
    rig.router.rebuild();
    const std::vector<Buffer> little = noises(3, 5000), much = noises(10, 90'000, 300);
    const StoredChunks a = rig.store(little), b = rig.store(much);
    const SegmentRecord record = rig.shards.segment(b.chunks[0].ref.hint.segment);
    EXPECT_EQ(record.layout, (Layout{1, 1}));
    EXPECT_EQ(std::ranges::count(record.nodes, NodeId{2}), 0);
    rig.expect_reads(little, a);
    rig.node(1).down = true;  // one more
    rig.expect_reads(little, a);
    rig.expect_reads(much, b);
  }
}

TEST(ChunkIo, ANodeThatRefusesForeverHoldsNobodyUp) {
  Rig rig(3);
  rig.node(2).shards.write_error = Errc::busy;
  const runtime::Instant began = rig.env.now();
  const std::vector<Buffer> much = noises(10, 90'000, 300);
  const StoredChunks stored = rig.store(much);
  EXPECT_LT(rig.env.now() - began, 2s);
  rig.expect_reads(much, stored);
}

TEST(ChunkIo, OneLivingNodeOfThreeIsNotEnough) {
  Rig rig(3);
  rig.node(2).down = rig.node(3).down = true;
  EXPECT_EQ(rig.store_error(noises(1, 5000)), Errc::unavailable);
  EXPECT_EQ(rig.store_error(noises(5, 100'000)), Errc::unavailable);
  rig.node(3).down = false;
  rig.world.run_for(5s);
  EXPECT_EQ(rig.store_error(noises(1, 5000)), Errc::ok);
}

TEST(ChunkIo, FullNodesAreAvoidedUntilAllAreFull) {
  Rig rig(3);
  rig.node(1).shards.full = rig.node(1).journal.full = true;
  const std::vector<Buffer> little = noises(3, 5000), much = noises(10, 90'000, 300);
  const StoredChunks a = rig.store(little), b = rig.store(much);
  rig.expect_reads(little, a);
  rig.expect_reads(much, b);
  rig.node(2).shards.full = true;
  const runtime::Instant began = rig.env.now();
  EXPECT_EQ(rig.store_error(noises(10, 90'000, 900)), Errc::no_space);
  EXPECT_LT(rig.env.now() - began, 5s);
  // Full journals alone do not stop little writes.
  for (u16 i = 1; i <= 3; ++i) {
    rig.node(i).journal.full = true;
    rig.node(i).shards.full = false;
  }
  EXPECT_EQ(rig.store_error(noises(2, 5000, 950)), Errc::ok);
}

TEST(ChunkIo, LittleWritesShareAppends) {
  Rig rig(3);
  std::vector<runtime::Task<Result<StoredChunks>>> stores;
  std::vector<Buffer> plain = noises(60, 4096);
  for (const Buffer& chunk : plain) stores.push_back(rig.io->store({chunk}));
  auto all = sim::run(rig.world, rig.env, runtime::join_all(rig.env.executor(), std::move(stores)));
  std::set<SegmentId> segments;
  for (std::size_t i = 0; i < plain.size(); ++i) {
    ASSERT_TRUE((*all)[i]);
    segments.insert((*all)[i]->chunks[0].ref.hint.segment);
    EXPECT_TRUE(*rig.wait(rig.io->read((*all)[i]->chunks[0].ref)) == plain[i]);
  }
  EXPECT_LE(segments.size(), 2u);
}

TEST(ChunkIo, AnOpenSegmentIsReadAfterItWasSealedOrItsHintWentStale) {
  Rig rig(3);
  const std::vector<Buffer> plain = noises(4, 9000);
  StoredChunks stored = rig.store(plain);
  rig.expect_reads(plain, stored);
  SegmentRecord open = rig.shards.segment(stored.chunks[0].ref.hint.segment);
  SealFromJournal seal{open.id, 1, 2, 1, {NodeId{1}, NodeId{2}, NodeId{3}}};
  const auto sealed = rig.wait(rig.calls.call(open.journals[1], seal, 10s));
  ASSERT_TRUE(sealed);
  SealSegments op;
  op.segments.push_back({open.id, 1, {2, 1}, seal.nodes, sealed->message.length});
  ASSERT_TRUE(rig.shards.call(shard_of(open.id), op, hlc_of(rig.env.wall_now())));
  for (auto& [id, node] : rig.nodes) {
    node->journal.segments_held.clear();
    node->journal.dropped.insert(open.id);
  }
  rig.expect_reads(plain, stored);  // the record that it remembers says "open"
  // Hints that are empty, or that point to a segment that is gone.
  stored.chunks[0].ref.hint = {};
  stored.chunks[1].ref.hint.segment = make_segment_id(SiteId{0}, ShardId{1}, 12345);
  stored.chunks[2].ref.hint.offset = 1 << 20;
  rig.expect_reads(plain, stored);
}

TEST(ChunkIo, AClosedJournalSegmentIsLeftForAnother) {
  Rig rig(2);
  const StoredChunks first = rig.store(noises(1, 5000, 1));
  const SegmentId id = first.chunks[0].ref.hint.segment;
  (void)rig.wait(rig.node(1).journal.close(id));
  const StoredChunks second = rig.store(noises(1, 5000, 2));
  EXPECT_NE(second.chunks[0].ref.hint.segment, id);
  // What the other journal took of the refused append is no part of any answer; sealing it does no harm.
  rig.expect_reads(noises(1, 5000, 1), first);
  rig.expect_reads(noises(1, 5000, 2), second);
}

TEST(ChunkIo, ConcurrentReadsShareOneFetchAndTheCacheAnswersLater) {
  Rig rig(3, 1 << 20);
  const std::vector<Buffer> plain = noises(4, 90'000);
  const StoredChunks stored = rig.store(plain);
  std::vector<runtime::Task<Result<Buffer>>> reads;
  for (int i = 0; i < 20; ++i) reads.push_back(rig.io->read(stored.chunks[1].ref));
  auto all = sim::run(rig.world, rig.env, runtime::join_all(rig.env.executor(), std::move(reads)));
  for (const auto& back : *all) EXPECT_TRUE(*back == plain[1]);
  EXPECT_EQ(rig.io->stats().chunks_read, 1u);
  rig.expect_reads({plain[1]}, {{stored.chunks[1]}, {}});
  EXPECT_EQ(rig.io->stats().cache_hits, 1u);
}

TEST(ChunkIo, RefusesWhatIsNoChunk) {
  Rig rig(1);
  EXPECT_EQ(rig.store_error({Buffer()}), Errc::invalid_argument);
  EXPECT_EQ(rig.store_error({Buffer::zeros((1 << 20) + 1)}), Errc::invalid_argument);
  EXPECT_EQ(rig.store_error({}), Errc::ok);
}

TEST(ChunkIo, DestroyedInTheMiddleOfEverything) {
  for (int steps = 1; steps < 40; ++steps) {
    Rig rig(3);
    runtime::Scope scope(rig.env.executor());
    std::optional<Result<StoredChunks>> out;
    scope.spawn(sim::detail::keep_value(rig.io->store(noises(8, 90'000)), out));
    std::optional<Result<StoredChunks>> little;
    scope.spawn(sim::detail::keep_value(rig.io->store(noises(1, 4096)), little));
    rig.world.run_for(runtime::Duration(steps * 100'000));
  }
}

}  // namespace
}  // namespace claudefs::data
