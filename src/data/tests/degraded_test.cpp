// Goal: a read succeeds while any k good copies of what it needs exist; a bad copy that it meets is known and
// made anew soon; nobody calls the cluster healthy meanwhile. Method: copies are taken, damaged, turned into
// lies; nodes go and come back empty; disks fail.
#include "data/tests/service_rig.h"

namespace claudefs::data {
namespace {

using namespace std::chrono_literals;
using Rig = ServiceRig;

store::ShardKey key_of(const SegmentRecord& record, unsigned index) {
  return {record.id, static_cast<u8>(index), record.generation};
}
std::map<store::ShardKey, std::string>& shards_of_holder(Rig& rig, const SegmentRecord& record,
                                                         unsigned index) {
  return rig.node(record.nodes[index].value).shards.shards;
}

TEST(Degraded, AnyKGoodShardsAreEnoughWhateverBefellTheOthers) {
  for (u32 pair = 0; pair < 30; ++pair) {
    Rig rig(6);
    const std::vector<Buffer> plain = noises(12, 90'000, 1);
    const StoredChunks stored = rig.store(plain);
    const SegmentRecord record = rig.segment_of(stored);
    ASSERT_EQ(record.layout, (Layout{4, 2}));
    const unsigned down = pair / 5, lacking = (down + 1 + pair % 5) % 6;
    rig.set_down(record.nodes[down].value, true);
    shards_of_holder(rig, record, lacking).erase(key_of(record, lacking));
    rig.expect_reads(plain, stored);
  }
}

TEST(Degraded, ShardsDamagedInDifferentPlacesGiveTheSegmentTogether) {
  Rig rig(3);
  const std::vector<Buffer> plain = noises(14, 120'000, 1);
  const StoredChunks stored = rig.store(plain);
  const SegmentRecord record = rig.segment_of(stored);
  // In every shard, but never twice in one stripe of blocks.
  for (unsigned i = 0; i < 3; ++i)
    for (u32 block = i; block < 120; block += 3 * 4)
      rig.node(record.nodes[i].value).shards.damaged_blocks[key_of(record, i)].insert(block);
  rig.expect_reads(plain, stored);
  rig.world.run_for(30s);
  EXPECT_GT(rig.segment_of(stored).generation, record.generation);
  EXPECT_TRUE(rig.healthy());
  rig.expect_reads(plain, stored);
}

// Bytes that pass the holder's own checksums and are not what was written.
TEST(Degraded, LiesAreReadAroundAndReplaced) {
  for (const u16 count : {2, 3, 6}) {
    for (unsigned liar = 0; liar < policy_layout(count).data_shards; ++liar) {
      SCOPED_TRACE(fmt::format("{} nodes, shard {} lies", count, liar));
      Rig rig(count);
      const std::vector<Buffer> plain = noises(16, 60'000, 1);
      const StoredChunks stored = rig.store(plain);
      const SegmentRecord record = rig.segment_of(stored);
      std::string& bytes = shards_of_holder(rig, record, liar).at(key_of(record, liar));
      for (char& byte : bytes) byte = static_cast<char>(byte ^ 1);
      rig.expect_reads(plain, stored);  // chunks that cross from one shard to the next among them
      rig.world.run_for(20s);
      const SegmentRecord after = rig.segment_of(stored);
      EXPECT_GT(after.generation, record.generation);
      EXPECT_TRUE(rig.whole(after));
      const u64 degraded = rig.io->stats().degraded_reads;
      auto fresh = rig.chunk_io();
      for (std::size_t i = 0; i < plain.size(); ++i) {
        const Result<Buffer> back = rig.wait(fresh->read(stored.chunks[i].ref));
        ASSERT_TRUE(back && *back == plain[i]);
      }
      EXPECT_EQ(fresh->stats().degraded_reads, 0u) << degraded;
    }
  }
}

TEST(Degraded, ALyingJournalIsReadAroundAndNotSealed) {
  Rig rig(3);
  const std::vector<Buffer> plain = noises(4, 6000, 1);
  const StoredChunks stored = rig.store(plain);
  const SegmentRecord open = rig.segment_of(stored);
  ASSERT_EQ(open.state, SegmentState::open);
  for (char& byte : rig.node(open.journals[0].value).journal.segments_held.at(open.id).bytes)
    byte = static_cast<char>(byte ^ 1);
  rig.expect_reads(plain, stored);
  rig.world.run_for(20s);
  EXPECT_TRUE(rig.whole(rig.segment_of(stored)));
  rig.expect_reads(plain, stored);
}

TEST(Degraded, AReadWaitsForAHolderThatMayComeBack) {
  Rig rig(3);
  const std::vector<Buffer> plain = noises(10, 90'000, 1);
  const StoredChunks stored = rig.store(plain);
  const SegmentRecord record = rig.segment_of(stored);
  shards_of_holder(rig, record, 0).erase(key_of(record, 0));
  rig.set_down(record.nodes[1].value, true);
  std::optional<Result<Buffer>> back;
  runtime::Scope scope(rig.env.executor());
  scope.spawn(sim::detail::keep_value(rig.io->read(stored.chunks[0].ref), back));
  rig.world.run_for(10s);
  EXPECT_FALSE(back) << "one good shard of 2+1 is not enough, and no reason to give up";
  rig.set_down(record.nodes[1].value, false);
  rig.world.run_for(10s);
  ASSERT_TRUE(back && *back) << "the holder is back";
  EXPECT_TRUE(**back == plain[0]);
}

TEST(Degraded, ABadCopyThatAReadMeetsIsMadeAnewAtOnce) {
  Rig rig(3);
  rig.world.run_for(30s);
  const std::vector<Buffer> plain = noises(10, 90'000, 1);
  const StoredChunks stored = rig.store(plain);
  rig.world.run_for(10s);
  const SegmentRecord record = rig.segment_of(stored);
  shards_of_holder(rig, record, 0).erase(key_of(record, 0));
  rig.expect_reads(plain, stored);
  rig.world.run_for(10s);
  EXPECT_TRUE(rig.whole(rig.segment_of(stored)));
  EXPECT_GT(rig.segment_of(stored).generation, record.generation);
}

TEST(Degraded, ANodeThatCameBackEmptyIsNeverCalledHealthy) {
  Rig rig(3);
  const std::vector<Buffer> plain = noises(40, 90'000, 1);
  const StoredChunks stored = rig.store(plain);
  rig.world.run_for(20s);
  ASSERT_TRUE(rig.healthy());
  // Between two heartbeats: nobody saw it go.
  rig.node(2).shards.shards.clear();
  rig.node(2).incarnation = 2;
  std::size_t unhealthy = 0;
  for (int step = 0; step < 600; ++step) {
    std::set<SegmentId> segments;
    bool all_there = true;
    for (const StoredChunk& chunk : stored.chunks) segments.insert(chunk.ref.hint.segment);
    for (const SegmentId id : segments) all_there = all_there && rig.whole(rig.shards.segment(id));
    const bool healthy = rig.healthy();
    if (!all_there) EXPECT_FALSE(healthy) << step;
    unhealthy += healthy ? 0 : 1;
    rig.world.run_for(50ms);
  }
  EXPECT_GT(unhealthy, 0u);
  EXPECT_TRUE(rig.healthy());
  rig.expect_reads(plain, stored);
}

TEST(Degraded, AHolderThatDoesNotAnswerAtFirstIsAskedAgain) {
  Rig rig(3);
  rig.store(noises(40, 90'000, 1));
  rig.world.run_for(20s);
  ASSERT_TRUE(rig.healthy());
  rig.node(2).incarnation = 2;
  rig.node(2).hung = true;
  rig.world.run_for(20s);
  EXPECT_FALSE(rig.healthy());
  rig.node(2).hung = false;
  rig.world.run_for(20s);
  EXPECT_TRUE(rig.healthy());
}

TEST(Degraded, AJournalWhoseTwinDiedIsSealedAtOnce) {
  Rig rig(3);
  rig.world.run_for(10s);
  const std::vector<Buffer> plain = noises(4, 6000, 1);
  const StoredChunks stored = rig.store(plain);
  const SegmentRecord open = rig.segment_of(stored);
  rig.set_down(open.journals[0].value, true);
  rig.router.rebuild();
  rig.world.run_for(2s);
  const SegmentRecord sealed = rig.segment_of(stored);
  ASSERT_EQ(sealed.state, SegmentState::sealed);
  EXPECT_EQ(std::ranges::count(sealed.nodes, open.journals[0]), 0);
  EXPECT_EQ(sealed.nodes.size(), 2u);
}

TEST(Degraded, ADiskThatFailsIsTakenOutAndItsDataMadeAnew) {
  // not_found: somebody removed the directory below the running server.
  for (const Errc write_error : {Errc::ok, Errc::io_error, Errc::not_found}) {
    const bool reads_fail = write_error == Errc::ok;
    SCOPED_TRACE(name_of(write_error));
    Rig rig(4);
    const std::vector<Buffer> plain = noises(60, 90'000, 1);
    const StoredChunks stored = rig.store(plain);
    rig.world.run_for(20s);
    ASSERT_TRUE(rig.healthy());
    ASSERT_GT(rig.node(1).shards.shards.size(), 0u);
    rig.node(1).shards.fails_reads = reads_fail;
    if (!reads_fail) rig.node(1).shards.write_error = write_error;
    for (u64 n = 0; n < 20 && rig.node(1).disk_fault.empty(); ++n) {
      if (reads_fail) rig.expect_reads(plain, stored);
      const runtime::Instant began = rig.env.now();
      rig.store(noises(12, 90'000, 1000 + n * 100));
      EXPECT_LT(rig.env.now() - began, 2s);
      rig.node(1).disk_fault = rig.services_of_nodes[0]->disk_fault(store::DeviceClass::data);
    }
    ASSERT_FALSE(rig.node(1).disk_fault.empty());
    EXPECT_FALSE(rig.healthy());
    rig.world.run_for(1min);
    for (const StoredChunk& chunk : stored.chunks) {
      const SegmentRecord record = rig.shards.segment(chunk.ref.hint.segment);
      EXPECT_EQ(std::ranges::count(record.nodes, NodeId{1}), 0);
      EXPECT_EQ(record.layout, (Layout{2, 1}));
    }
    rig.expect_reads(plain, stored);
  }
}

}  // namespace
}  // namespace claudefs::data
