// A cluster in memory for tests: the real state machine of one metadata shard behind a Router, and chunks in
// a map by their hash.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

#include "client/file_system.h"
#include "data/operations.h"
#include "meta/commands.h"
#include "meta/quota.h"
#include "meta/shard_machine.h"
#include "meta/shard_service.h"
#include "store/memory_kv.h"

namespace claudefs::client::testing {

using runtime::Task;

class FakeRouter final : public cluster::Router {
 public:
  explicit FakeRouter(runtime::Env& env) : env_(env) {
    meta::register_namespace(table_);
    table_.add_command(meta::ChunkDeltas::kKind,
                       [this](meta::ApplyContext&, const Buffer& body) -> Result<Buffer> {
                         for (const auto& delta : wire::decode<meta::ChunkDeltas>(body)->deltas)
                           references[delta.hash] += delta.references;
                         return wire::encode(meta::Nothing{});
                       });
    table_.add_command(data::PinChunks::kKind,
                       [this](meta::ApplyContext&, const Buffer& body) -> Result<Buffer> {
                         data::ChunkPlaces places;
                         for (const auto& hash : wire::decode<data::PinChunks>(body)->hashes)
                           places.places.push_back({references[hash] > 0, {}, 0});
                         places.valid_until = meta::Hlc{UINT64_MAX - 1};
                         return wire::encode(places);
                       });
    machine_ = std::move(*meta::ShardMachine::open(kv_, table_, ShardId{0}, 1));
    (void)propose(meta::Format::kKind, {}, wire::encode(meta::Format{}));
    meta::SetAttributes open_root{meta::kRootInode, u16{0777}};
    (void)propose(meta::SetAttributes::kKind, {}, wire::encode(open_root));
    map_.nodes.resize(1);
    map_.nodes[0].stats.raw_total = 1_GiB;
    map_.nodes[0].stats.raw_used = 256_MiB;
  }
  Task<Result<void>> refresh() override { co_return Result<void>(); }
  const cluster::ClusterMap& map() const override { return map_; }
  u16 shard_count() const override { return 1; }
  std::string address_of(NodeId) const override { return "fake:1"; }

  Task<Result<Buffer>> call_raw(ShardId shard, u16 kind, cluster::RequestId id, Buffer body) override {
    CFS_CHECK(shard == ShardId{0});
    ++calls[kind];
    if (delay.count() != 0) co_await env_.executor().sleep(delay);
    while (silent) co_await env_.executor().sleep(runtime::Duration(10'000'000));
    if (failures > 0) {
      --failures;
      co_return fail(Errc::timed_out, "the fake cluster is away");
    }
    if (auto at = fail_kind.find(kind); at != fail_kind.end() && at->second.count > 0) {
      --at->second.count;
      co_return fail(at->second.code, "as the test asked");
    }
    if (kind == meta::HoldOpen::kKind) {
      held = wire::decode<meta::HoldOpen>(body)->inodes;
      co_return wire::encode(meta::Nothing{});
    }
    if (kind == meta::QuotaState::kKind) co_return wire::encode(meta::QuotaStateReply{});
    if (kind == meta::OpenSession::kKind)
      co_return propose(meta::AdmitSession::kKind, {}, wire::encode(meta::AdmitSession{}));
    if (table_.find_query(kind) != nullptr) co_return machine_->query(kind, body);
    co_return propose(kind, id, std::move(body));
  }

  struct Refusal {
    Errc code = Errc::io_error;
    int count = 1;
  };
  bool silent = false;               // nothing answers while it is set
  int failures = 0;                  // so many calls fail as after the router's last retry
  std::map<u16, Refusal> fail_kind;  // by operation
  runtime::Duration delay{0};
  std::map<u16, int> calls;
  std::vector<InodeId> held;                   // as last told by HoldOpen
  std::map<codec::ChunkHash, i64> references;  // of chunks, as the metadata counts them

 private:
  Result<Buffer> propose(u16 kind, cluster::RequestId id, Buffer body) {
    meta::CommandEntry entry;
    entry.kind = kind;
    const u64 milliseconds = static_cast<u64>(env_.wall_now().ns / 1'000'000);
    entry.hlc = meta::Hlc{milliseconds << 16};
    entry.id = id;
    entry.body = std::move(body);
    std::vector<raft::Committed> entries(1);
    entries[0].index = ++index_;
    entries[0].term = Term{1};
    entries[0].command = wire::encode(entry);
    const std::vector<Buffer> replies = machine_->apply(entries);
    Result<meta::Outcome> outcome = wire::decode<meta::Outcome>(replies[0]);
    if (!outcome) return fail(outcome.error());
    if (outcome->code != Errc::ok) return fail(outcome->code, outcome->text);
    return outcome->body;
  }

  runtime::Env& env_;
  store::MemoryKv kv_;
  meta::OperationTable table_;
  std::unique_ptr<meta::ShardMachine> machine_;
  LogIndex index_{};
  cluster::ClusterMap map_;
};

class FakeChunks final : public data::ChunkIo {
 public:
  explicit FakeChunks(runtime::Env& env) : env_(env) {}
  Task<Result<data::StoredChunks>> store(std::vector<Buffer> plain) override {
    if (delay.count() != 0) co_await env_.executor().sleep(delay);
    if (store_failure) co_return fail(*store_failure, "the fake store refuses");
    data::StoredChunks out;
    for (const Buffer& chunk : plain) {
      EXPECT_GE(chunk.size(), 4_KiB);
      EXPECT_LE(chunk.size(), 1_MiB);
      data::StoredChunk stored;
      stored.ref.hash = codec::hash_chunk(codec::DomainKey{}, chunk.span());
      stored.ref.chunk_length = static_cast<u32>(chunk.size());
      stored.new_stored_bytes = chunks.contains(stored.ref.hash) ? 0 : stored.ref.chunk_length;
      chunks[stored.ref.hash] = Buffer::copy_of(chunk.span());
      out.chunks.push_back(stored);
      ++stats_.chunks_stored;
    }
    co_return out;
  }
  Task<Result<Buffer>> read(meta::ChunkRef ref) override {
    if (delay.count() != 0) co_await env_.executor().sleep(delay);
    ++stats_.chunks_read;
    auto at = chunks.find(ref.hash);
    if (at == chunks.end()) co_return fail(Errc::not_found, "no such chunk");
    co_return at->second;
  }
  void set_compression(codec::Compression how) override { compression = how; }
  const data::ChunkIoStats& stats() const override { return stats_; }

  codec::Compression compression;

  runtime::Duration delay{0};
  std::optional<Errc> store_failure;
  std::map<codec::ChunkHash, Buffer> chunks;

 private:
  runtime::Env& env_;
  data::ChunkIoStats stats_;
};

// A FileSystem over both; call fs->start() first.
struct FakeCluster {
  explicit FakeCluster(runtime::Env& env) : router(env), chunks(std::make_shared<FakeChunks>(env)) {}
  std::unique_ptr<FileSystem> mount(runtime::Env& env, Options options = {}) {
    auto shared = chunks;
    ChunkIoFactory factory = [shared](SessionId, codec::DomainKey) { return shared; };
    FileSystem::Parts parts{env, router, factory};
    return FileSystem::create(parts, options);
  }
  FakeRouter router;
  std::shared_ptr<FakeChunks> chunks;
};

}  // namespace claudefs::client::testing
