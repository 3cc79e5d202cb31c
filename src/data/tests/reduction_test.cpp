// Goal: chunks that are similar become deltas, read back, and are counted rightly whatever happens meanwhile;
// a base is there as long as something builds on it, and is never a delta. Method: the commands one by one
// over shards in memory; then a cluster of fakes with the real services, whose chunks are edited, moved and
// dropped.
#include "base/mutant.h"
#include "data/detail/reduction_batch.h"
#include "data/tests/service_rig.h"

namespace claudefs::data {
namespace {

using namespace std::chrono_literals;

struct Rig : ServiceRig {
  std::map<codec::ChunkHash, i64> users;  // references that are not those of deltas

  explicit Rig(u16 count = 3, u64 seed = 1) : ServiceRig(count, seed, kScrubEvery, 3s) { give_key(); }
  StoredChunks keep(const std::vector<Buffer>& plain) {
    StoredChunks stored = store(plain);
    for (const StoredChunk& chunk : stored.chunks) ++users[chunk.ref.hash];
    return stored;
  }
  void drop(const StoredChunks& stored) {
    refer(stored, -1);
    for (const StoredChunk& chunk : stored.chunks) --users[chunk.ref.hash];
  }
  std::map<codec::ChunkHash, ChunkRecord> records() {
    std::map<codec::ChunkHash, ChunkRecord> out;
    for (u16 i = 0; i < shards.count(); ++i)
      for (const auto& [key, value] : shards.shard(ShardId{i}).rows) {
        if (!key.starts_with(kChunkPrefix)) continue;
        codec::ChunkHash hash;
        std::memcpy(hash.bytes.data(), key.data() + 1, hash.bytes.size());
        out[hash] = *wire::decode<ChunkRecord>(as_bytes(value));
      }
    return out;
  }
  std::optional<codec::ChunkHash> base_of(const StoredChunks& stored, std::size_t i) {
    const std::optional<ChunkRecord> record = shards.chunk(stored.chunks[i].ref.hash);
    return record ? record->base : std::nullopt;
  }
  std::size_t deltas(const StoredChunks& stored) {
    std::size_t count = 0;
    for (std::size_t i = 0; i < stored.chunks.size(); ++i) count += base_of(stored, i) ? 1 : 0;
    return count;
  }
  u64 stored_bytes() {
    u64 bytes = 0;
    for (const auto& [hash, record] : records()) bytes += record.location.length;
    return bytes;
  }
  // Nothing, or what is wrong: counts, bases that are deltas, totals, live bytes of segments.
  std::string wrong() {
    const std::map<codec::ChunkHash, ChunkRecord> all = records();
    std::map<codec::ChunkHash, i64> counted = users;
    std::map<SegmentId, i64> live;
    u64 saved = 0, recorded = 0;
    for (const auto& [hash, record] : all) {
      live[record.location.segment] += record.location.length;
      saved += record.saved;
      if (!record.base) continue;
      ++counted[*record.base];
      const auto base = all.find(*record.base);
      if (base == all.end()) return "a base is gone";
      if (base->second.base) return "a base is a delta";
      if (!base->second.is_base) return "a base is not marked";
    }
    for (const auto& [hash, count] : counted) {
      const auto record = all.find(hash);
      const u64 held = record == all.end() ? 0 : record->second.references;
      if (held != static_cast<u64>(count)) return fmt::format("{} references counted, {} held", count, held);
    }
    for (const auto& [segment, bytes] : live)
      if (shards.segment(segment).live_bytes != bytes) return "live bytes of a segment";
    for (u16 i = 0; i < shards.count(); ++i)
      recorded += shards.shard(ShardId{i})
                      .load<IndexTotals>(std::string(kTotalsKey))
                      .value_or(IndexTotals{})
                      .saved_bytes;
    return saved == recorded ? "" : "total of what is saved";
  }
  // By somebody who has nothing in memory.
  void expect_reads_fresh(const std::vector<Buffer>& plain, const StoredChunks& stored) {
    io = chunk_io();
    expect_reads(plain, stored);
  }
};

TEST(Reduction, SimilarChunksBecomeDeltasAndReadBack) {
  for (const u16 count : {1, 3, 6}) {
    SCOPED_TRACE(count);
    Rig rig(count);
    const std::vector<Buffer> old = noises(20, 60'000, 1), fresh = edited(old, 50),
                              other = noises(20, 60'000, 900);
    const StoredChunks a = rig.keep(old);
    rig.world.run_for(20s);
    EXPECT_EQ(rig.deltas(a), 0u);
    const StoredChunks b = rig.keep(fresh), c = rig.keep(other);
    const u64 before = rig.stored_bytes();
    rig.world.run_for(60s);
    EXPECT_GE(rig.deltas(b), 18u);
    EXPECT_EQ(rig.deltas(a) + rig.deltas(c), 0u);
    EXPECT_LT(rig.stored_bytes(), before - 17 * 60'000);
    EXPECT_EQ(rig.wrong(), "");
    rig.expect_reads_fresh(old, a);
    rig.expect_reads_fresh(fresh, b);
    rig.expect_reads_fresh(other, c);
    const StorageSummaryReply status = rig.status();
    EXPECT_EQ(status.saved_bytes, before - rig.stored_bytes());
    EXPECT_EQ(status.unreduced_bytes, 0u);
    // What the whole forms took comes back.
    EXPECT_LT(status.segment_bytes, rig.stored_bytes() * 11 / 10);
  }
}

TEST(Reduction, ReadsTakeOneMoreChunkAndACachedBaseNone) {
  Rig rig;
  const std::vector<Buffer> old = noises(1, 60'000, 1), fresh = edited(std::vector(30, old[0]), 50);
  rig.keep(old);
  const StoredChunks b = rig.keep(fresh);
  rig.world.run_for(60s);
  ASSERT_GE(rig.deltas(b), 29u);
  rig.io = rig.chunk_io(32_MiB);
  rig.expect_reads(fresh, b);
  EXPECT_LE(rig.io->stats().chunks_read, 31u);
}

TEST(Reduction, ABaseStaysWhileADeltaLivesAndGoesAfterIt) {
  Rig rig;
  const std::vector<Buffer> old = noises(10, 60'000, 1), fresh = edited(old, 50);
  const StoredChunks a = rig.keep(old);
  rig.world.run_for(20s);
  const StoredChunks b = rig.keep(fresh);
  rig.world.run_for(40s);
  ASSERT_GE(rig.deltas(b), 8u);
  rig.drop(a);
  rig.world.run_for(15min);
  EXPECT_EQ(rig.wrong(), "");
  EXPECT_EQ(rig.records().size(), 10 + rig.deltas(b));
  rig.expect_reads_fresh(fresh, b);
  rig.drop(b);
  rig.world.run_for(15min);
  EXPECT_EQ(rig.records().size(), 0u);
  EXPECT_EQ(rig.shards_held(), 0u);
  EXPECT_EQ(rig.wrong(), "");
}

TEST(Reduction, CompactionMovesDeltasAsTheyAre) {
  Rig rig;
  const std::vector<Buffer> old = noises(40, 60'000, 1), fresh = edited(old, 50);
  const StoredChunks a = rig.keep(old);
  rig.world.run_for(20s);
  const StoredChunks b = rig.keep(fresh);
  rig.world.run_for(40s);
  ASSERT_GE(rig.deltas(b), 38u);
  StoredChunks gone, left;
  std::vector<Buffer> left_plain;
  for (std::size_t i = 0; i < 40; ++i) (i % 4 != 0 ? gone : left).chunks.push_back(b.chunks[i]);
  for (std::size_t i = 0; i < 40; i += 4) left_plain.push_back(fresh[i]);
  std::map<codec::ChunkHash, ChunkRecord> before = rig.records();
  rig.drop(gone);
  rig.world.run_for(60s);
  std::size_t moved = 0;
  for (const StoredChunk& chunk : left.chunks) {
    const ChunkRecord record = *rig.shards.chunk(chunk.ref.hash);
    EXPECT_EQ(record.base, before[chunk.ref.hash].base);
    EXPECT_EQ(record.location.length, before[chunk.ref.hash].location.length);
    moved += record.location != before[chunk.ref.hash].location ? 1 : 0;
  }
  EXPECT_GE(moved, 9u);
  EXPECT_EQ(rig.wrong(), "");
  rig.expect_reads_fresh(left_plain, left);
  rig.expect_reads_fresh(old, a);
}

TEST(Reduction, WhatStaysAsItIsIsNotLookedAtAgain) {
  Rig rig;
  const StoredChunks stored = rig.keep(noises(40, 60'000, 1));
  rig.world.run_for(30s);
  EXPECT_TRUE(rig.segment_of(stored).reduced);
  const u64 asked = rig.shards.calls_made[MatchSketches::kKind];
  const u64 listed = rig.shards.calls_made[ChunksIn::kKind];
  EXPECT_GT(asked, 0u);
  rig.world.run_for(10min);
  EXPECT_EQ(rig.shards.calls_made[MatchSketches::kKind], asked);
  EXPECT_EQ(rig.shards.calls_made[ChunksIn::kKind], listed);
  EXPECT_EQ(rig.shards.calls_made[ReduceChunks::kKind], 0u);
}

Buffer text(std::size_t size, u64 seed) {
  std::mt19937_64 random(seed);
  std::string out;
  while (out.size() < size) out += fmt::format("word{} ", random() % 500);
  out.resize(size);
  return Buffer::adopt(std::move(out));
}

// Of 64 characters, none more frequent than others: LZ4 finds nothing in them, and a fourth is too much.
Buffer characters(std::size_t size, u64 seed) {
  std::mt19937_64 random(seed);
  Buffer out = Buffer::allocate(size);
  for (std::size_t i = 0; i < size; ++i) out.data()[i] = static_cast<std::byte>('0' + random() % 64);
  return out;
}

TEST(Reduction, ZstdMakesSmallerWhatLz4MadeSmallerAndWhatItDidNot) {
  Rig rig;
  std::vector<Buffer> packed, raw;
  for (u64 i = 0; i < 10; ++i) packed.push_back(text(90'000, i));
  for (u64 i = 100; i < 110; ++i) raw.push_back(characters(90'000, i));
  const StoredChunks a = rig.keep(packed), b = rig.keep(raw);
  for (const StoredChunk& chunk : b.chunks) EXPECT_GT(chunk.ref.hint.length, 90'000u);
  rig.world.run_for(40s);
  for (const StoredChunks& all : {a, b})
    for (const StoredChunk& chunk : all.chunks)
      EXPECT_LT(rig.shards.chunk(chunk.ref.hash)->location.length, chunk.ref.hint.length * 7 / 8);
  EXPECT_EQ(rig.deltas(a) + rig.deltas(b), 0u);
  EXPECT_EQ(rig.wrong(), "");
  rig.expect_reads_fresh(packed, a);
  rig.expect_reads_fresh(raw, b);
}

TEST(Reduction, WaitsUntilNothingChangesAndALittleForMore) {
  for (const std::size_t count : {20, 400}) {
    SCOPED_TRACE(count);
    ServiceRig rig(3);
    rig.give_key();
    const std::vector<Buffer> old = noises(count, 60'000, 1);
    rig.store(old);
    rig.store(edited(old, 50));
    rig.world.run_for(count == 20 ? 115min : 55min);
    EXPECT_EQ(rig.shards.calls_made[MatchSketches::kKind], 0u);
    EXPECT_EQ(rig.status().unreduced_bytes, 2 * count * 60'048);
    rig.world.run_for(10min);
    EXPECT_GT(rig.status().saved_bytes, count * 6 / 7 * 60'000);
  }
}

// Files of one kind: lines that other files have as well, in an order of their own. Every eighth has all of
// them.
std::vector<Buffer> relatives(std::size_t count, u64 seed) {
  constexpr std::size_t kLines = 60, kSome = 40;
  std::mt19937_64 random(seed);
  std::vector<std::size_t> order(kLines);
  for (std::size_t i = 0; i < kLines; ++i) order[i] = i;
  std::vector<Buffer> out;
  for (std::size_t n = 0; n < count; ++n) {
    std::ranges::shuffle(order, random);
    std::string file;
    for (std::size_t i = 0; i < (n % 8 == 3 ? kLines : kSome); ++i)
      file += std::string(as_text(characters(60, seed * 1000 + order[i]).span())) + "\n";
    out.push_back(Buffer::adopt(std::move(file)));
  }
  return out;
}

TEST(Reduction, ShortOnesBuildOnANeighbourThatHasMuchOfThem) {
  Rig rig;
  const std::vector<Buffer> files = relatives(64, 1), other = noises(40, 3000, 1);
  const StoredChunks a = rig.keep(files), b = rig.keep(other);
  const u64 before = rig.stored_bytes();
  rig.world.run_for(60s);
  EXPECT_GE(rig.deltas(a), 50u);
  EXPECT_EQ(rig.deltas(b), 0u);
  EXPECT_LT(rig.stored_bytes(), before - 100'000);
  EXPECT_EQ(rig.wrong(), "");
  rig.expect_reads_fresh(files, a);
  rig.expect_reads_fresh(other, b);
  // The bases' own files go; what builds on them does not notice.
  StoredChunks bases, rest;
  std::vector<Buffer> rest_plain;
  for (std::size_t i = 0; i < files.size(); ++i) {
    (rig.base_of(a, i) ? rest : bases).chunks.push_back(a.chunks[i]);
    if (rig.base_of(a, i)) rest_plain.push_back(files[i]);
  }
  rig.drop(bases);
  rig.world.run_for(15min);
  EXPECT_EQ(rig.wrong(), "");
  rig.expect_reads_fresh(rest_plain, rest);
  rig.drop(rest);
  rig.drop(b);
  rig.world.run_for(25min);
  EXPECT_EQ(rig.records().size(), 0u);
  EXPECT_EQ(rig.shards_held(), 0u);
}

// --- what goes wrong on the way ---

// From the writing of the forms on the leader gets no further, for a while.
struct Broken : Rig {
  bool broken = true;
  u64 tried = 0;
  std::function<void(MiniShard&, const ReduceChunks&)> instead;  // of a broken command
  explicit Broken(u64 seed = 1) : Rig(3, seed) {
    shards.handle(ReduceChunks::kKind, [this](MiniShard& shard, const Buffer& body) -> Result<Buffer> {
      TRY_ASSIGN(const ReduceChunks op, wire::decode<ReduceChunks>(body));
      ++tried;
      if (broken && instead) instead(shard, op);
      if (broken) return fail(Errc::unavailable, "no leader");
      TRY_ASSIGN(const ReduceChunksReply reply, apply_reduce_chunks(shard, op));
      return wire::encode(reply);
    });
  }
};

TEST(Reduction, ALeaderThatDiesBeforeTheIndexIsToldLeavesNothingBehind) {
  Broken rig;
  const std::vector<Buffer> old = noises(10, 60'000, 1), fresh = edited(old, 50);
  const StoredChunks a = rig.keep(old), b = rig.keep(fresh);
  rig.world.run_for(2min);
  EXPECT_GT(rig.tried, 1u);
  EXPECT_EQ(rig.deltas(a) + rig.deltas(b), 0u);
  EXPECT_EQ(rig.wrong(), "");
  // The next one gets through.
  rig.broken = false;
  rig.world.run_for(2min);
  EXPECT_GE(rig.deltas(a) + rig.deltas(b), 8u);
  EXPECT_EQ(rig.wrong(), "");
  rig.expect_reads_fresh(old, a);
  rig.expect_reads_fresh(fresh, b);
  rig.drop(a);
  rig.drop(b);
  rig.world.run_for(25min);
  EXPECT_EQ(rig.records().size(), 0u);
  EXPECT_EQ(rig.shards_held(), 0u);
}

TEST(Reduction, ABaseThatWasPinnedInVainGoesOnceThePinHasRunOut) {
  Broken rig;
  const std::vector<Buffer> old = noises(10, 60'000, 1);
  const StoredChunks a = rig.keep(old), b = rig.keep(edited(old, 50));
  ASSERT_TRUE(rig.world.run_until([&] { return rig.tried > 0; }, 1min));
  rig.drop(a);
  rig.drop(b);
  rig.world.run_for(25min);
  EXPECT_EQ(rig.records().size(), 0u);
  EXPECT_EQ(rig.shards_held(), 0u);
}

// Between the choice and the command: chunks and bases are dropped, and taken again.
TEST(Reduction, WhatIsDroppedMeanwhileIsCountedRightly) {
  for (u64 seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE(seed);
    Rig rig(3, seed);
    std::mt19937_64 random(seed);
    const std::vector<Buffer> old = noises(30, 30'000, seed), fresh = edited(old, seed * 100);
    const StoredChunks a = rig.keep(old), b = rig.keep(fresh);
    for (int step = 0; step < 100; ++step) {
      rig.world.run_for(std::chrono::milliseconds(random() % 800));
      StoredChunks one;
      one.chunks.push_back((random() % 2 == 0 ? a : b).chunks[random() % 30]);
      i64& held = rig.users[one.chunks[0].ref.hash];
      if (held > 0 && random() % 2 == 0) {
        rig.drop(one);
      } else if (rig.shards.chunk(one.chunks[0].ref.hash)) {  // as one who pins it
        rig.refer(one);
        ++held;
      }
    }
    rig.world.run_for(60s);
    EXPECT_EQ(rig.wrong(), "");
    EXPECT_GT(rig.status().saved_bytes, 0u);
    for (const auto& [plain, stored] : {std::pair(old, a), std::pair(fresh, b)})
      for (std::size_t i = 0; i < 30; ++i) {
        if (rig.users[stored.chunks[i].ref.hash] == 0) continue;
        const Result<Buffer> back = rig.wait(rig.io->read(stored.chunks[i].ref));
        ASSERT_TRUE(back) << back.error().to_string();
        EXPECT_TRUE(*back == plain[i]);
      }
    for (const StoredChunks& all : {a, b})
      for (const StoredChunk& chunk : all.chunks) {
        StoredChunks one;
        one.chunks.push_back(chunk);
        while (rig.users[chunk.ref.hash] > 0) rig.drop(one);
      }
    rig.world.run_for(25min);
    EXPECT_EQ(rig.records().size(), 0u);
    EXPECT_EQ(rig.shards_held(), 0u);
  }
}

TEST(Reduction, AMissingBaseIsNamed) {
  Rig rig;
  const std::vector<Buffer> old = noises(4, 60'000, 1), fresh = edited(old, 50);
  const StoredChunks a = rig.keep(old);
  rig.world.run_for(20s);
  const StoredChunks b = rig.keep(fresh);
  rig.world.run_for(40s);
  ASSERT_EQ(rig.deltas(b), 4u);
  const codec::ChunkHash base = *rig.base_of(b, 0);
  rig.shards.shard(meta::shard_of_chunk(base, 4)).rows.erase(chunk_key(base));
  rig.io = rig.chunk_io();
  const Result<Buffer> read = rig.wait(rig.io->read(b.chunks[0].ref));
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, Errc::corrupt);
  EXPECT_NE(read.error().text.find("its base cannot be read"), std::string::npos) << read.error().text;
  EXPECT_NE(read.error().text.find(base.to_hex()), std::string::npos) << read.error().text;
}

TEST(Reduction, DegradedReadsGiveDeltasAndBases) {
  Rig rig;
  const std::vector<Buffer> old = noises(10, 60'000, 1), fresh = edited(old, 50);
  const StoredChunks a = rig.keep(old), b = rig.keep(fresh);
  rig.world.run_for(60s);
  ASSERT_GE(rig.deltas(a) + rig.deltas(b), 8u);
  for (const u16 away : {1, 2, 3}) {
    rig.set_down(away, true);
    rig.expect_reads_fresh(old, a);
    rig.expect_reads_fresh(fresh, b);
    rig.set_down(away, false);
    rig.world.run_for(10s);
  }
}

// --- the commands ---

codec::ChunkHash hash_of(u64 n) {
  codec::ChunkHash hash;
  for (int i = 0; i < 8; ++i) hash.bytes[i] = static_cast<std::byte>((n * 0x9e3779b97f4a7c15u) >> (8 * i));
  return hash;
}

struct Commands {
  MiniShards shards{4};
  Hlc now = later(Hlc{}, 1h);
  std::vector<SegmentId> segments;

  Commands() {
    for (const SegmentRecord& record :
         shards.call(ShardId{1}, GrantSegments{SessionId{1}, 4, {}}, now)->records)
      segments.push_back(record.id);
    for (u64 n = 1; n <= 4; ++n) refer(n, 1);
  }
  Location at(u64 n, std::size_t segment = 0, u32 length = 1000) {
    return {segments[segment], static_cast<u32>(n * 1000), length};
  }
  ShardId home(u64 n) { return meta::shard_of_chunk(hash_of(n), 4); }
  void refer(u64 n, i64 count) {
    ASSERT_TRUE(shards.call(home(n), meta::ChunkDeltas{{{hash_of(n), count, at(n), 4096}}}, now));
  }
  PinBasesReply::Base pin(u64 n) { return shards.call(home(n), PinBases{{hash_of(n)}}, now)->bases.at(0); }
  Result<ReduceChunksReply> reduce(u64 n, std::optional<u64> base, Location from, Location to) {
    ReduceChunks op;
    op.forms.push_back({hash_of(n), from, to, base ? std::optional(hash_of(*base)) : std::nullopt});
    op.valid_until = later(now, 1min);
    return shards.call(home(n), op, now);
  }
  bool reduce(u64 n, std::optional<u64> base) {
    const auto reply = reduce(n, base, at(n), at(n, 1, 100));
    return reply && reply->saved_bytes != 0;
  }
  u64 held(u64 n) { return shards.chunk(hash_of(n))->references; }
};

TEST(ReduceChunks, TakesOneReferenceToTheBaseAndGivesItBack) {
  Commands c;
  ASSERT_TRUE(c.pin(2).pinned);
  EXPECT_TRUE(c.reduce(1, 2));
  EXPECT_EQ(c.shards.chunk(hash_of(1))->base, hash_of(2));
  EXPECT_EQ(c.shards.chunk(hash_of(1))->location, c.at(1, 1, 100));
  EXPECT_EQ(c.held(2), 2u);
  EXPECT_EQ(c.shards.segment(c.segments[0]).live_bytes, 3000);
  EXPECT_EQ(c.shards.segment(c.segments[1]).live_bytes, 100);
  // Sent again, by one who did not hear the answer.
  EXPECT_FALSE(c.reduce(1, 2));
  EXPECT_FALSE(c.reduce(1, std::nullopt));
  EXPECT_EQ(c.held(2), 2u);
  // The users of both go: the base after the delta.
  c.refer(1, -1);
  c.refer(2, -1);
  EXPECT_EQ(c.held(2), 1u);
  c.now = later(c.now, 1h);
  for (u16 i = 0; i < 4; ++i) ASSERT_TRUE(c.shards.call(ShardId{i}, ReclaimChunks{later(c.now, -1s)}, c.now));
  EXPECT_FALSE(c.shards.chunk(hash_of(1)));
  EXPECT_EQ(c.held(2), 0u);
  c.now = later(c.now, 1h);
  for (u16 i = 0; i < 4; ++i) ASSERT_TRUE(c.shards.call(ShardId{i}, ReclaimChunks{later(c.now, -1s)}, c.now));
  EXPECT_FALSE(c.shards.chunk(hash_of(2)));
}

TEST(ReduceChunks, NeverMakesAChain) {
  Commands c;
  ASSERT_TRUE(c.pin(2).pinned);
  ASSERT_TRUE(c.reduce(1, 2));
  // A delta is no base, and says what is.
  const PinBasesReply::Base refused = c.pin(1);
  EXPECT_FALSE(refused.pinned);
  EXPECT_EQ(refused.base, hash_of(2));
  // A base is no delta, also before anything builds on it.
  EXPECT_FALSE(c.reduce(2, 3));
  ASSERT_TRUE(c.pin(3).pinned);
  EXPECT_FALSE(c.reduce(3, 4));
  EXPECT_EQ(c.held(4), 1u);
  // It may be packed harder.
  EXPECT_TRUE(c.reduce(3, std::nullopt));
  EXPECT_EQ(c.shards.chunk(hash_of(3))->base, std::nullopt);
}

TEST(ReduceChunks, LeavesAloneWhatIsNotAsItWas) {
  Commands c;
  ASSERT_TRUE(c.pin(2).pinned);
  EXPECT_EQ(c.reduce(1, 2, c.at(1, 2), c.at(1, 1, 100))->saved_bytes, 0u);  // it is elsewhere
  EXPECT_EQ(c.reduce(1, 2, c.at(1), c.at(1, 1, 1000))->saved_bytes, 0u);    // not shorter
  EXPECT_EQ(c.reduce(9, 2, c.at(9), c.at(9, 1, 100))->saved_bytes, 0u);     // not there
  EXPECT_FALSE(c.reduce(1, 1));
  c.refer(1, -1);
  EXPECT_FALSE(c.reduce(1, 2));  // about to go
  EXPECT_EQ(c.held(2), 1u);
  c.refer(1, 1);
  ReduceChunks late;
  late.forms.push_back({hash_of(1), c.at(1), c.at(1, 1, 100), hash_of(2)});
  late.valid_until = c.now;
  c.now = later(c.now, 1s);
  const auto reply = c.shards.call(c.home(1), late, c.now);
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, Errc::conflict);
  EXPECT_EQ(c.held(2), 1u);
  EXPECT_TRUE(c.reduce(1, 2));
}

TEST(PinBases, RefusesWhatIsGoneOrGoing) {
  Commands c;
  EXPECT_FALSE(c.pin(9).pinned);
  c.refer(2, -1);
  EXPECT_FALSE(c.pin(2).pinned);
  EXPECT_EQ(c.pin(2).base, std::nullopt);
  c.refer(2, 1);
  const PinBasesReply::Base base = c.pin(2);
  EXPECT_TRUE(base.pinned);
  EXPECT_EQ(base.location, c.at(2));
  // Pinned, it outlives its last user until the promise has run out.
  c.refer(2, -1);
  c.now = later(c.now, 9min);
  ASSERT_TRUE(c.shards.call(c.home(2), ReclaimChunks{later(c.now, -1s)}, c.now));
  EXPECT_TRUE(c.shards.chunk(hash_of(2)));
  c.now = later(c.now, 2min);
  ASSERT_TRUE(c.shards.call(c.home(2), ReclaimChunks{later(c.now, -1s)}, c.now));
  EXPECT_FALSE(c.shards.chunk(hash_of(2)));
}

TEST(MatchSketches, TheFirstStaysUntilItIsOfNoUse) {
  Commands c;
  const auto match = [&](u64 feature, u64 n, u64 instead = 0) {
    const MatchSketches op{{{feature, hash_of(n), instead == 0 ? codec::ChunkHash{} : hash_of(instead)}}};
    return c.shards.call(shard_of_feature(feature, 4), op, c.now)->chunks.at(0);
  };
  EXPECT_EQ(match(7, 1), hash_of(1));
  EXPECT_EQ(match(7, 2), hash_of(1));
  EXPECT_EQ(match(7, 2, 3), hash_of(1));
  EXPECT_EQ(match(7, 2, 1), hash_of(2));
  EXPECT_EQ(match(7, 3), hash_of(2));
  // Another feature of the same slot takes it: the table has an end.
  const u64 same_slot = 7 + 4 * kSketchSlots;
  EXPECT_EQ(match(same_slot, 4), hash_of(4));
  EXPECT_EQ(match(7, 5), hash_of(5));
}

// --- which base ---

ReductionBatch batch_of(std::vector<std::array<u64, 4>> chunks) {  // own number, what its features name
  ReductionBatch batch;
  for (const auto& [own, a, b, c] : chunks) {
    ReductionBatch::Chunk& chunk = batch.chunks.emplace_back();
    chunk.hash = hash_of(own);
    chunk.sketch.emplace();
    chunk.similar = {hash_of(a), hash_of(b), hash_of(c)};
  }
  return batch;
}
using Wanted = std::map<codec::ChunkHash, std::vector<std::size_t>>;

TEST(ReductionPlan, TakesWhatMostFeaturesName) {
  EXPECT_EQ(batch_of({{1, 8, 9, 9}}).plan(), (Wanted{{hash_of(9), {0}}}));
  EXPECT_EQ(batch_of({{1, 8, 9, 1}}).plan(), (Wanted{{hash_of(8), {0}}}));
  EXPECT_EQ(batch_of({{1, 1, 1, 1}}).plan(), Wanted{});
}

TEST(ReductionPlan, NoneBuildsOnWhatBuildsOnAnother) {
  // 2 is similar to 1, which builds on 9: so does 2.
  EXPECT_EQ(batch_of({{1, 9, 9, 9}, {2, 1, 1, 1}}).plan(), (Wanted{{hash_of(9), {0, 1}}}));
  // 1 builds on 2, which then stays whole although it has a base to build on.
  EXPECT_EQ(batch_of({{1, 2, 2, 2}, {2, 9, 9, 9}}).plan(), (Wanted{{hash_of(2), {0}}}));
  EXPECT_EQ(batch_of({{1, 2, 2, 2}, {2, 1, 1, 1}}).plan(), (Wanted{{hash_of(2), {0}}}));
}

TEST(ReductionPlan, LearnsFromRefusals) {
  ReductionBatch batch = batch_of({{1, 9, 9, 8}, {2, 7, 7, 7}});
  Wanted wanted = batch.plan();
  EXPECT_EQ(wanted, (Wanted{{hash_of(9), {0}}, {hash_of(7), {1}}}));
  batch.learn(hash_of(9), {}, {0});                          // gone
  batch.learn(hash_of(7), {false, {}, 0, hash_of(6)}, {1});  // a delta against 6
  wanted = batch.plan();
  EXPECT_EQ(wanted, (Wanted{{hash_of(8), {0}}, {hash_of(6), {1}}}));
  batch.learn(hash_of(8), {true, {}, 5000, std::nullopt}, {0});
  batch.learn(hash_of(6), {true, {}, 6000, std::nullopt}, {1});
  EXPECT_EQ(batch.plan(), Wanted{});
  EXPECT_EQ(batch.chunks[0].base, hash_of(8));
  EXPECT_EQ(batch.chunks[1].base_length, 6000u);
}

std::vector<std::optional<std::size_t>> neighbours_of(const ReductionBatch& batch) {
  std::vector<std::optional<std::size_t>> out;
  for (const ReductionBatch::Chunk& chunk : batch.chunks) out.push_back(chunk.neighbour);
  return out;
}

TEST(ReductionPlan, TheLongestOfEightThatStaysWholeIsTheOthersNeighbour) {
  ReductionBatch batch;
  for (const std::size_t size : {100, 100, 200, 100, 100, 350, 70'000, 100, 100, 100}) {
    batch.chunks.emplace_back().hash = hash_of(batch.chunks.size());
    batch.chunks.back().plain = noise(size, 1);
  }
  batch.chunks[5].base = hash_of(99);             // the longest is a delta
  batch.chunks[0].is_base = true;                 // stays whole
  batch.kept_whole.insert(batch.chunks[1].hash);  // likewise
  batch.plan_neighbours();
  // 6 is too long, to build on another and to be built on; 5 may have a base that helps little.
  EXPECT_EQ(neighbours_of(batch),
            (std::vector<std::optional<std::size_t>>{{}, {}, {}, 2, 2, 2, {}, 2, {}, 8}));
  EXPECT_TRUE(batch.neighbours_wanted().empty());
  batch.chunks[3].beside_neighbour = batch.chunks[9].beside_neighbour = noise(10, 1);
  EXPECT_EQ(batch.neighbours_wanted(), (Wanted{{batch.chunks[2].hash, {3}}, {batch.chunks[8].hash, {9}}}));
}

#ifdef CLAUDEFS_MUTANTS
// The same of what builds on neighbours.
bool neighbours_are_well() {
  Rig rig;
  const std::vector<Buffer> files = relatives(64, 1);
  const StoredChunks a = rig.keep(files);
  rig.world.run_for(40s);
  StoredChunks long_ones;
  for (std::size_t i = 0; i < files.size(); ++i)
    if (i % 8 == 3) long_ones.chunks.push_back(a.chunks[i]);
  rig.drop(long_ones);
  rig.world.run_for(25min);
  rig.io = rig.chunk_io();
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (i % 8 == 3) continue;
    const Result<Buffer> back = rig.wait(rig.io->read(a.chunks[i].ref));
    if (!back || *back != files[i]) return false;
  }
  return true;
}

// A cluster in which things become deltas and go: is anything wrong in the end?
bool all_is_well() {
  Rig rig;
  // So that the third has more in common with the second, a delta, than with the first.
  const std::vector<Buffer> old = noises(20, 60'000, 1), fresh = edited(old, 50, 120),
                            again = edited(fresh, 90);
  const StoredChunks a = rig.keep(old);
  rig.world.run_for(20s);
  const StoredChunks b = rig.keep(fresh);
  rig.world.run_for(40s);
  const StoredChunks c = rig.keep(again);
  rig.world.run_for(40s);
  if (rig.deltas(b) == 0 || rig.deltas(c) == 0) return false;
  rig.drop(a);
  rig.world.run_for(15min);
  rig.io = rig.chunk_io();
  for (const auto& [plain, stored] : {std::pair(fresh, b), std::pair(again, c)})
    for (std::size_t i = 0; i < plain.size(); ++i) {
      const Result<Buffer> back = rig.wait(rig.io->read(stored.chunks[i].ref));
      if (!back || *back != plain[i]) return false;
    }
  rig.drop(b);
  rig.drop(c);
  rig.world.run_for(25min);
  return rig.records().empty();
}

TEST(Reduction, mutants_are_noticed) {
  EXPECT_TRUE(all_is_well());
  for (const char* name : {"data_base_not_counted", "data_base_not_given_back", "data_delta_of_delta",
                           "data_delta_names_another_base"}) {
    ASSERT_TRUE(Mutant::select(name));
    EXPECT_FALSE(all_is_well()) << name;
  }
  Mutant::select("");
  EXPECT_TRUE(neighbours_are_well());
  ASSERT_TRUE(Mutant::select("data_neighbour_untold"));
  EXPECT_FALSE(neighbours_are_well());
  // What guards against two leaders at once: one who plans alone never asks for it.
  ASSERT_TRUE(Mutant::select("data_base_becomes_delta"));
  Commands c;
  ASSERT_TRUE(c.pin(2).pinned);
  EXPECT_TRUE(c.reduce(2, 3));
  Mutant::select("");
}
#endif

}  // namespace
}  // namespace claudefs::data
