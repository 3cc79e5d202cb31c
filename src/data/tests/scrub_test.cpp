// Goal: scrubbing finds every damaged copy that a node holds, says so once, and has it replaced, before a
// read meets it. Method: damage planted in a cluster of fakes; what is counted against what was planted.
#include <random>

#include "base/mutant.h"
#include "data/tests/service_rig.h"

namespace claudefs::data {
namespace {

using namespace std::chrono_literals;

// One shard of each segment loses a block. Gives how many.
std::size_t damage_every_segment(ServiceRig& rig, const StoredChunks& stored, u64 seed) {
  std::mt19937_64 random(seed);
  std::set<SegmentId> segments;
  for (const StoredChunk& chunk : stored.chunks) segments.insert(chunk.ref.hint.segment);
  for (const SegmentId id : segments) {
    const SegmentRecord record = rig.shards.segment(id);
    const std::size_t place = random() % record.nodes.size();
    MemoryShardStore& store = rig.node(record.nodes[place].value).shards;
    const store::ShardKey key{id, static_cast<u8>(place), record.generation};
    const std::size_t blocks = (store.shards.at(key).size() + 4095) / 4096;
    store.damaged_blocks[key].insert(static_cast<u32>(random() % blocks));
  }
  return segments.size();
}

TEST(Scrub, FindsAndRepairsWhatNobodyReads) {
  for (const u16 count : {2, 3, 6}) {
    SCOPED_TRACE(count);
    ServiceRig rig(count);
    const std::vector<Buffer> plain = noises(60, 60'000, 1);
    const StoredChunks stored = rig.store(plain);
    rig.world.run_for(20s);
    const std::size_t planted = damage_every_segment(rig, stored, count);
    rig.scrub_now();
    rig.world.run_for(30s);
    const ScrubReply after = rig.scrubbed();
    EXPECT_FALSE(after.running);
    EXPECT_EQ(after.found, planted);
    EXPECT_EQ(after.repaired, planted);
    EXPECT_TRUE(rig.healthy());
    rig.expect_reads(plain, stored);
    rig.scrub_now();
    rig.world.run_for(30s);
    EXPECT_EQ(rig.scrubbed().pass, 2u * count);
    EXPECT_EQ(rig.scrubbed().found, planted) << "a second pass finds nothing";
  }
}

// What has no good copy stays found and not repaired.
TEST(Scrub, AClusterOfOneCanOnlySaySo) {
  ServiceRig rig(1);
  const StoredChunks stored = rig.store(noises(60, 60'000, 1));
  rig.world.run_for(20s);
  const std::size_t planted = damage_every_segment(rig, stored, 1);
  for (int pass = 0; pass < 2; ++pass) {
    rig.scrub_now();
    rig.world.run_for(60s);
  }
  EXPECT_EQ(rig.scrubbed().found, planted) << "each is counted once";
  EXPECT_EQ(rig.scrubbed().repaired, 0u);
  EXPECT_FALSE(rig.healthy());
}

// An open segment of which one journal copy is damaged. True when that was found before it was sealed, and
// then mended by sealing from the other.
bool finds_journal_damage() {
  ServiceRig rig(3);
  rig.world.run_for(10s);
  const std::vector<Buffer> plain = noises(4, 9'000, 1);
  const StoredChunks stored = rig.store(plain);
  const SegmentRecord record = rig.segment_of(stored);
  if (record.state != SegmentState::open) return false;
  rig.node(record.journals[0].value).journal.damaged.insert(record.id);
  rig.scrub_now();
  rig.world.run_for(500ms);
  const bool found = rig.scrubbed().found == 1 && rig.scrubbed().repaired == 0;
  rig.world.run_for(30s);
  rig.expect_reads(plain, stored);
  return found && rig.scrubbed().repaired == 1 && rig.whole(rig.segment_of(stored));
}
TEST(Scrub, ReadsTheJournalToo) { EXPECT_TRUE(finds_journal_damage()); }

// Other files are their owners' to mend: found once, repaired when they check again.
bool finds_damaged_files() {
  ServiceRig rig(3);
  rig.file_is_damaged[NodeId{2}] = true;
  for (int pass = 0; pass < 2; ++pass) {
    rig.scrub_now();
    rig.world.run_for(10s);
  }
  if (rig.scrubbed().found != 1 || rig.scrubbed().repaired != 0) return false;
  rig.file_is_damaged[NodeId{2}] = false;
  rig.world.run_for(40s);
  return rig.scrubbed().repaired == 1;
}
TEST(Scrub, ReadsTheOtherFilesToo) { EXPECT_TRUE(finds_damaged_files()); }

#ifdef CLAUDEFS_MUTANTS
TEST(Scrub, mutants_are_noticed) {
  ASSERT_TRUE(Mutant::select("data_scrub_skips_logs"));
  EXPECT_FALSE(finds_damaged_files());
  ASSERT_TRUE(Mutant::select("data_scrub_skips_journals"));
  EXPECT_FALSE(finds_journal_damage());
  Mutant::select("");
}
#endif

TEST(Scrub, ComesRoundByItselfAndSlowly) {
  ServiceRig rig(3, 1, 1h);
  rig.store(noises(400, 60'000, 1));
  rig.world.run_for(9min);
  EXPECT_EQ(rig.scrubbed().pass, 0u);
  ASSERT_TRUE(rig.world.run_until([&] { return rig.scrubbed().running; }, 1min));
  rig.world.run_for(300ms);
  EXPECT_TRUE(rig.scrubbed().running) << "12 MB a node at 16 MiB/s are not read in an instant";
  rig.world.run_for(1min);
  EXPECT_EQ(rig.scrubbed().pass, 3u);
  EXPECT_FALSE(rig.scrubbed().running);
  u64 held = 3 * 1000;  // the other files
  for (auto& [id, node] : rig.nodes) held += node->shards.used_bytes();
  EXPECT_EQ(rig.scrubbed().verified_bytes, held);
  rig.world.run_for(62min);
  EXPECT_EQ(rig.scrubbed().pass, 6u);
  EXPECT_EQ(rig.scrubbed().found, 0u);
}

}  // namespace
}  // namespace claudefs::data
