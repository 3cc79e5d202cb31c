// A cluster of fakes (fake_cluster.h) with the real service on every node; one node leads all shards.
#pragma once

#include <gtest/gtest.h>

#include <random>

#include "data/node_service.h"
#include "data/tests/fake_cluster.h"

namespace claudefs::data {

class FakeMachine final : public meta::ShardMachine {
 public:
  explicit FakeMachine(MiniShard& shard) : shard_(shard) {}
  const meta::ReadContext& reader() const override { return shard_; }
  Result<Buffer> query(u16, const Buffer&) override { return fail(Errc::unsupported); }
  std::optional<meta::Outcome> recorded(const cluster::RequestId&) const override { return std::nullopt; }
  Hlc last_hlc() const override { return shard_.hlc(); }
  void set_leadership_listener(std::function<void(bool, Term)>) override {}
  void set_outbox_listener(std::function<void(bool)>) override {}
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
  FakeShardService(FakeCluster& cluster, bool leads)
      : env_(cluster.env), router_(cluster.router), leads_(leads), scope_(cluster.env.executor()) {
    MiniShards& shards = cluster.shards;
    for (u16 i = 0; i < shards.count(); ++i)
      machines_.push_back(std::make_unique<FakeMachine>(shards.shard(ShardId{i})));
  }
  Result<void> add_shard(ShardId, std::vector<NodeId>) override { return {}; }
  void start() override {}
  runtime::Task<cluster::ShardReply> execute(cluster::ShardRequest) override {
    co_return cluster::ShardReply{};
  }
  void add_procedure(u16 kind, Procedure procedure) override {
    if (leads_) router_.procedures[kind] = std::move(procedure);
  }
  void add_leader_task(LeaderTask task) override {
    tasks_.push_back(std::make_unique<LeaderTask>(std::move(task)));
    for (u16 i = 0; leads_ && i < machines_.size(); ++i) scope_.spawn((*tasks_.back())(ShardId{i}, Term{1}));
  }
  void set_change_listener(ChangeListener) override {}
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
  FakeRouter& router_;
  bool leads_;
  std::vector<std::unique_ptr<FakeMachine>> machines_;
  std::vector<std::unique_ptr<LeaderTask>> tasks_;
  runtime::Scope scope_;
};

inline Buffer noise(std::size_t size, u64 seed) {
  std::mt19937_64 random(seed);
  Buffer out = Buffer::allocate(size);
  for (std::size_t i = 0; i < size; ++i) out.data()[i] = static_cast<std::byte>(random());
  return out;
}
inline std::vector<Buffer> noises(std::size_t count, std::size_t size, u64 seed) {
  std::vector<Buffer> out;
  for (std::size_t i = 0; i < count; ++i) out.push_back(noise(size, seed + i));
  return out;
}

// Some stretches are others.
inline Buffer edited(const Buffer& plain, u64 seed, int stretches = 3) {
  std::mt19937_64 random(seed);
  Buffer out = Buffer::copy_of(plain.span());
  for (int i = 0; i < stretches; ++i) {
    const Buffer stretch = noise(random() % 30 + 1, random());
    std::memcpy(out.data() + random() % (out.size() - stretch.size()), stretch.data(), stretch.size());
  }
  return out;
}
inline std::vector<Buffer> edited(const std::vector<Buffer>& plain, u64 seed, int stretches = 3) {
  std::vector<Buffer> out;
  for (const Buffer& one : plain) out.push_back(edited(one, ++seed, stretches));
  return out;
}

struct ServiceRig : FakeCluster {
  FakeClient between_servers;
  std::vector<std::unique_ptr<NodeService>> services_of_nodes;
  std::vector<std::unique_ptr<FakeShardService>> shard_services;
  std::unique_ptr<ChunkIo> io;

  explicit ServiceRig(u16 count, u64 seed = 1, runtime::Duration scrub_every = kScrubEvery,
                      runtime::Duration reduce_after = kReduceAfter)
      : FakeCluster(count, seed, false), between_servers(env, nodes, NodeId{1}), io(chunk_io()) {
    no_files();
    for (auto& [id, node] : nodes) {
      shard_services.push_back(std::make_unique<FakeShardService>(*this, id == NodeId{1}));
      services_of_nodes.push_back(NodeService::create(
          {env, between_servers, router, node->methods, node->journal, node->shards, *shard_services.back(),
           id, scrub_every, [this, id] { return files_of(id); }, reduce_after}));
    }
  }
  // The servers' own sessions have the key of chunk_io().
  void give_key() {
    shards.handle(meta::OpenSession::kKind, [](MiniShard&, const Buffer&) -> Result<Buffer> {
      meta::OpenSessionReply reply;
      reply.session = SessionId{99};
      reply.domain_key.bytes[0] = std::byte{42};
      return wire::encode(reply);
    });
  }
  // A file of each node beside shards and journals, that a test may damage.
  std::map<NodeId, bool> file_is_damaged;
  std::vector<ScrubFile> files_of(NodeId id) {
    return {{"log", 1000, [this, id] { return verify_file(id); }}};
  }
  runtime::Task<Result<void>> verify_file(NodeId id) {
    if (file_is_damaged[id]) co_return fail(Errc::corrupt, "the log is damaged");
    co_return Result<void>();
  }
  void no_files() {
    shards.handle(meta::ListInline::kKind, [](MiniShard&, const Buffer&) -> Result<Buffer> {
      return wire::encode(meta::ListInlineReply{});
    });
  }
  // What `claudefs status` adds up.
  StorageSummaryReply status() {
    StorageSummary ask;
    ask.nodes_total = static_cast<u16>(nodes.size());
    router.rebuild();
    for (const cluster::NodeView& view : router.map().nodes) {
      if (view.state != cluster::NodeState::up || !view.stats.disk_fault.empty()) continue;
      ask.up.push_back(view.id);
      ask.incarnations.push_back(view.stats.incarnation);
    }
    StorageSummaryReply sum;
    for (u16 shard = 0; shard < shards.count(); ++shard) {
      const Result<StorageSummaryReply> reply = wait(router.call(ShardId{shard}, ask));
      EXPECT_TRUE(reply);
      if (!reply) continue;
      sum.full += reply->full;
      sum.degraded += reply->degraded;
      sum.at_risk += reply->at_risk;
      sum.live_bytes += reply->live_bytes;
      sum.segment_bytes += reply->segment_bytes;
      sum.raw_bytes += reply->raw_bytes;
      sum.missing_shards += reply->missing_shards;
      sum.unreadable_segments += reply->unreadable_segments;
      sum.repair_bytes += reply->repair_bytes;
      sum.reclaimable_bytes += reply->reclaimable_bytes;
      sum.compaction_debt += reply->compaction_debt;
      sum.reclaimed_bytes += reply->reclaimed_bytes;
      sum.moved_bytes += reply->moved_bytes;
      sum.saved_bytes += reply->saved_bytes;
      sum.unreduced_bytes += reply->unreduced_bytes;
      sum.unchecked.insert(sum.unchecked.end(), reply->unchecked.begin(), reply->unchecked.end());
    }
    return sum;
  }
  bool healthy() {
    const StorageSummaryReply now = status();
    return now.degraded + now.at_risk + now.missing_shards == 0 && now.unchecked.empty();
  }
  ScrubReply scrubbed() {  // by all nodes
    ScrubReply sum;
    for (auto& service : services_of_nodes) {
      const ScrubReply one = service->scrub({});
      sum.running = sum.running || one.running;
      sum.pass += one.pass;
      sum.verified_bytes += one.verified_bytes;
      sum.found += one.found;
      sum.repaired += one.repaired;
    }
    return sum;
  }
  void scrub_now() {
    for (auto& service : services_of_nodes) service->scrub({true});
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
  // Where the first of them lies now; compaction may have moved it.
  SegmentRecord segment_of(const StoredChunks& stored) {
    const std::optional<ChunkRecord> known = shards.chunk(stored.chunks[0].ref.hash);
    return shards.segment((known ? known->location : stored.chunks[0].ref.hint).segment);
  }
  // Every shard that the record names is where it says.
  bool whole(const SegmentRecord& record) {
    for (std::size_t i = 0; i < record.nodes.size(); ++i)
      if (!node(record.nodes[i].value).shards.contains({record.id, static_cast<u8>(i), record.generation}))
        return false;
    return record.state == SegmentState::sealed;
  }
};

}  // namespace claudefs::data
