// Goal: the background work brings every segment to the redundancy it should have, frees what nobody refers
// to, and never what somebody does. Method: a cluster of fakes with real services; nodes go, come back and
// lose shards.
#include <gtest/gtest.h>

#include <random>

#include "data/node_service.h"
#include "data/tests/fake_cluster.h"

namespace claudefs::data {
namespace {

using namespace std::chrono_literals;

class FakeMachine final : public meta::ShardMachine {
 public:
  explicit FakeMachine(MiniShard& shard) : shard_(shard) {}
  const meta::ReadContext& reader() const override { return shard_; }
  Result<Buffer> query(u16, const Buffer&) override { return fail(Errc::unsupported); }
  std::optional<meta::Outcome> recorded(const cluster::RequestId&) const override { return std::nullopt; }
  Hlc last_hlc() const override { return shard_.hlc(); }
  void set_leadership_listener(std::function<void(bool, Term)>) override {}
  void set_outbox_listener(std::function<void()>) override {}
  void note_durable(LogIndex) override {}
  std::vector<Buffer> apply(const std::vector<raft::Committed>&) override { return {}; }
  LogIndex applied() const override { return {}; }
  Term applied_term() const override { return {}; }
  LogIndex durable() const override { return {}; }
  Result<std::unique_ptr<raft::SnapshotSource>> snapshot() override { return fail(Errc::unsupported); }
  Result<void> begin_install() override { return {}; }
  Result<void> install(const Buffer&) override { return {}; }
  runtime::Task<Result<void>> finish_install(LogIndex, Term) override { co_return Result<void>{}; }
  void on_leadership(bool, Term) override {}

 private:
  MiniShard& shard_;
};

// Leads every shard, or none.
class FakeShardService final : public meta::ShardService {
 public:
  FakeShardService(runtime::Env& env, MiniShards& shards, bool leads)
      : env_(env), leads_(leads), scope_(env.executor()) {
    for (u16 i = 0; i < shards.count(); ++i)
      machines_.push_back(std::make_unique<FakeMachine>(shards.shard(ShardId{i})));
  }
  Result<void> add_shard(ShardId, std::vector<NodeId>) override { return {}; }
  void start() override {}
  runtime::Task<cluster::ShardReply> execute(cluster::ShardRequest) override {
    co_return cluster::ShardReply{};
  }
  void add_procedure(u16, Procedure) override {}
  void add_leader_task(LeaderTask task) override {
    tasks_.push_back(std::make_unique<LeaderTask>(std::move(task)));
    for (u16 i = 0; leads_ && i < machines_.size(); ++i) scope_.spawn((*tasks_.back())(ShardId{i}, Term{1}));
  }
  // Background work goes through the router here.
  runtime::Task<Result<Buffer>> propose(ShardId, u16, cluster::RequestId, Buffer) override {
    co_return fail(Errc::unsupported);
  }
  runtime::Task<Result<void>> barrier(ShardId) override { co_return Result<void>(); }
  runtime::Task<Result<Buffer>> call(ShardId, u16, Buffer) override { co_return fail(Errc::unsupported); }
  runtime::Env& env() override { return env_; }
  u16 shard_count() const override { return static_cast<u16>(machines_.size()); }
  meta::ShardMachine* machine(ShardId shard) override { return machines_.at(shard.value).get(); }
  bool leads(ShardId) const override { return leads_; }
  std::vector<ShardId> led() const override { return {}; }
  runtime::Task<Result<void>> checkpoint() override { co_return Result<void>(); }
  runtime::Task<void> stop() override { co_return; }

 private:
  runtime::Env& env_;
  bool leads_;
  std::vector<std::unique_ptr<FakeMachine>> machines_;
  std::vector<std::unique_ptr<LeaderTask>> tasks_;
  runtime::Scope scope_;
};

Buffer noise(std::size_t size, u64 seed) {
  std::mt19937_64 random(seed);
  Buffer out = Buffer::allocate(size);
  for (std::size_t i = 0; i < size; ++i) out.data()[i] = static_cast<std::byte>(random());
  return out;
}
std::vector<Buffer> noises(std::size_t count, std::size_t size, u64 seed) {
  std::vector<Buffer> out;
  for (std::size_t i = 0; i < count; ++i) out.push_back(noise(size, seed + i));
  return out;
}

struct Rig : FakeCluster {
  std::vector<std::unique_ptr<NodeService>> services_of_nodes;
  std::vector<std::unique_ptr<FakeShardService>> shard_services;
  std::unique_ptr<ChunkIo> io;

  explicit Rig(u16 count, u64 seed = 1) : FakeCluster(count, seed, false), io(chunk_io()) {
    no_files();
    for (auto& [id, node] : nodes) {
      shard_services.push_back(std::make_unique<FakeShardService>(env, shards, id == NodeId{1}));
      services_of_nodes.push_back(NodeService::create(
          {env, client, router, node->methods, node->journal, node->shards, *shard_services.back(), id}));
    }
  }
  void no_files() {
    shards.handle(meta::ListInline::kKind, [](MiniShard&, const Buffer&) -> Result<Buffer> {
      return wire::encode(meta::ListInlineReply{});
    });
  }
  void set_down(u16 id, bool down) { node(id).down = node(id).hidden = down; }
  StoredChunks store(const std::vector<Buffer>& plain) {
    Result<StoredChunks> stored = wait(io->store(plain));
    EXPECT_TRUE(stored) << stored.error().to_string();
    if (!stored) return {};
    refer(*stored);
    return std::move(*stored);
  }
  void expect_reads(const std::vector<Buffer>& plain, const StoredChunks& stored) {
    for (std::size_t i = 0; i < plain.size(); ++i) {
      const Result<Buffer> back = wait(io->read(stored.chunks[i].ref));
      ASSERT_TRUE(back) << i << ": " << back.error().to_string();
      EXPECT_TRUE(*back == plain[i]) << i;
    }
  }
  std::size_t shards_held() {
    std::size_t count = 0;
    for (auto& [id, node] : nodes) count += node->shards.shards.size();
    return count;
  }
  std::size_t journal_segments() {
    std::size_t count = 0;
    for (auto& [id, node] : nodes) count += node->journal.segments_held.size();
    return count;
  }
  SegmentRecord segment_of(const StoredChunks& stored) {
    return shards.segment(stored.chunks[0].ref.hint.segment);
  }
  // Every shard that the record names is where it says.
  bool whole(const SegmentRecord& record) {
    for (std::size_t i = 0; i < record.nodes.size(); ++i)
      if (!node(record.nodes[i].value).shards.contains({record.id, static_cast<u8>(i), record.generation}))
        return false;
    return record.state == SegmentState::sealed;
  }
};

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
  rig.world.run_for(50s);
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
    shards.handle(meta::CommitWrite::kKind, [this](MiniShard&, const Buffer& body) -> Result<Buffer> {
      const auto op = *wire::decode<meta::CommitWrite>(body);
      File& file = files[op.inode];
      if (op.if_data_version != file.data_version) return fail(Errc::conflict, "moved on");
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
      return wire::encode(meta::InodeReply{});
    });
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
    rig.world.run_for(100min);
    EXPECT_EQ(rig.shards_held(), 0u);
    EXPECT_EQ(rig.journal_segments(), 0u);
    for (u16 shard = 0; shard < 4; ++shard)
      for (const auto& [key, value] : rig.shards.shard(ShardId{shard}).rows)
        EXPECT_EQ(key, "K") << key.size();
  }
}

}  // namespace
}  // namespace claudefs::data
