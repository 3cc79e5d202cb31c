// A cluster in one simulated node: real handlers over journals and shard stores in memory, a client that
// calls them, a router over MiniShards. Nodes can be down, hung, full, or lie.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <set>

#include "data/chunk_io.h"
#include "data/detail/handlers.h"
#include "data/tests/mini_shards.h"
#include "meta/shard_service.h"
#include "sim/run.h"

namespace claudefs::data {

class MemoryJournal final : public store::Journal {
 public:
  explicit MemoryJournal(runtime::Env& env) : env_(env) {}
  struct Held {
    std::string bytes;
    bool closed = false;
  };
  runtime::Task<Result<void>> append(SegmentId segment, u32 offset, std::vector<Buffer> data) override {
    co_await env_.executor().sleep(std::chrono::microseconds(200));
    if (full) co_return fail(Errc::no_space, "the journal is full");
    Held& held = segments_held[segment];
    if (held.closed || dropped.contains(segment)) co_return fail(Errc::stale, "the segment is closed here");
    for (const Buffer& piece : data) {
      if (held.bytes.size() < offset + piece.size()) held.bytes.resize(offset + piece.size());
      held.bytes.replace(offset, piece.size(), piece.text());
      offset += static_cast<u32>(piece.size());
    }
    co_return Result<void>();
  }
  runtime::Task<Result<Buffer>> read(SegmentId segment, u32 offset, u32 length) override {
    co_await env_.executor().sleep(std::chrono::microseconds(100));
    const auto it = segments_held.find(segment);
    if (it == segments_held.end() || it->second.bytes.size() < u64{offset} + length)
      co_return fail(Errc::not_found, "not in this journal");
    if (damaged.contains(segment)) co_return fail(Errc::corrupt, "a record does not check");
    co_return Buffer::copy_of(std::string_view(it->second.bytes).substr(offset, length));
  }
  runtime::Task<Result<store::OpenSegment>> close(SegmentId segment) override {
    Held& held = segments_held[segment];
    held.closed = true;
    store::OpenSegment out;
    out.segment = segment;
    out.length = static_cast<u32>(held.bytes.size());
    co_return out;
  }
  runtime::Task<Result<void>> drop(SegmentId segment) override {
    segments_held.erase(segment);
    dropped.insert(segment);
    co_return Result<void>();
  }
  std::vector<store::LogFileInfo> files() const override { return {}; }
  runtime::Task<Result<void>> verify(u32) override { co_return Result<void>(); }
  std::vector<store::OpenSegment> segments() const override {
    std::vector<store::OpenSegment> out;
    for (const auto& [id, held] : segments_held)
      out.push_back({id, static_cast<u32>(held.bytes.size()), true, {}});
    return out;
  }
  u64 live_bytes() const override { return 0; }
  u64 disk_bytes() const override { return 0; }
  runtime::Task<void> stop() override { co_return; }

  std::map<SegmentId, Held> segments_held;
  std::set<SegmentId> dropped;
  std::set<SegmentId> damaged;
  bool full = false;

 private:
  runtime::Env& env_;
};

class MemoryShardStore final : public store::ShardStore {
 public:
  explicit MemoryShardStore(runtime::Env& env) : env_(env) {}
  runtime::Task<Result<void>> write(store::ShardKey key, std::vector<Buffer> data) override {
    co_await env_.executor().sleep(std::chrono::microseconds(200));
    if (full) co_return fail(Errc::no_space, "the disk is full");
    if (write_error) co_return fail(*write_error, "no write here");
    std::string bytes;
    for (const Buffer& piece : data) bytes.append(piece.text());
    const auto [it, fresh] = shards.try_emplace(key, bytes);
    CFS_CHECK(fresh || it->second == bytes);  // two attempts must never share a key
    ++writes;
    co_return Result<void>();
  }
  runtime::Task<Result<Buffer>> read(store::ShardKey key, u32 offset, u32 length) override {
    co_await env_.executor().sleep(std::chrono::microseconds(100));
    ++reads;
    const auto it = shards.find(key);
    if (it == shards.end()) co_return fail(Errc::not_found, "no such shard");
    if (it->second.size() < u64{offset} + length) co_return fail(Errc::out_of_range, "past the end");
    if (fails_reads) co_return fail(Errc::io_error, "the disk says EIO");
    if (damaged.contains(key)) co_return fail(Errc::corrupt, "a block does not check");
    if (const auto hit = damaged_blocks.find(key); hit != damaged_blocks.end())
      for (const u32 block : hit->second)
        if (block * 4096 < offset + length && (block + 1) * 4096 > offset)
          co_return fail(Errc::corrupt, "a block does not check");
    co_return Buffer::copy_of(std::string_view(it->second).substr(offset, length));
  }
  runtime::Task<Result<void>> verify(store::ShardKey key) override {
    const auto it = shards.find(key);
    const u32 length = it == shards.end() ? 0 : static_cast<u32>(it->second.size());
    const Result<Buffer> all = co_await read(key, 0, length).result();
    co_return all ? Result<void>() : fail(all.error());
  }
  runtime::Task<Result<void>> remove(store::ShardKey key) override {
    shards.erase(key);
    co_return Result<void>();
  }
  std::vector<store::ShardInfo> list() const override {
    std::vector<store::ShardInfo> out;
    for (const auto& [key, bytes] : shards) out.push_back({key, static_cast<u32>(bytes.size())});
    return out;
  }
  bool contains(store::ShardKey key) const override { return shards.contains(key); }
  u64 used_bytes() const override {
    u64 bytes = 0;
    for (const auto& [key, content] : shards) bytes += content.size();
    return bytes;
  }
  u64 capacity_bytes() const override { return capacity; }
  runtime::Task<void> stop() override { co_return; }

  std::map<store::ShardKey, std::string> shards;
  std::set<store::ShardKey> damaged;
  std::map<store::ShardKey, std::set<u32>> damaged_blocks;
  u64 capacity = 1u << 30;
  bool fails_reads = false;
  std::optional<Errc> write_error;
  bool full = false;
  u64 reads = 0, writes = 0;

 private:
  runtime::Env& env_;
};

struct FakeNode {
  explicit FakeNode(runtime::Env& env) : journal(env), shards(env), disk(env), throttle(env) {}
  u64 incarnation = 1;
  std::string disk_fault;
  bool down = false;    // refuses connections
  bool hung = false;    // never answers
  bool hidden = false;  // down, and the map says so
  MemoryJournal journal;
  MemoryShardStore shards;
  DiskHealth disk;
  Throttle throttle;
  net::MethodTable methods;
};

class FakeClient final : public net::Client {
 public:
  // `self`: of the server that calls; 0: a client.
  FakeClient(runtime::Env& env, std::map<NodeId, std::unique_ptr<FakeNode>>& nodes, NodeId self = NodeId{})
      : env_(env), nodes_(nodes), self_(self) {}
  runtime::Task<Result<net::Reply>> call(std::string address, u16 method, Buffer body, Buffer payload,
                                         runtime::Duration timeout) override {
    using namespace std::chrono_literals;
    FakeNode& node = *nodes_.at(NodeId{static_cast<u16>(std::stoi(address.substr(1)))});
    ++calls;
    co_await env_.executor().sleep(100us);
    if (node.hung) {
      co_await env_.executor().sleep(timeout);
      co_return fail(Errc::timed_out, "no answer from " + address);
    }
    if (node.down) co_return fail(Errc::unavailable, "connection refused by " + address);
    net::Request request;
    request.method = method;
    request.peer = self_;
    request.body = std::move(body);
    request.payload = std::move(payload);
    Result<net::Reply> reply = co_await (*node.methods.find(method))(std::move(request)).result();
    co_await env_.executor().sleep(100us);
    co_return reply;
  }
  runtime::Task<void> stop() override { co_return; }
  u64 calls = 0;

 private:
  runtime::Env& env_;
  std::map<NodeId, std::unique_ptr<FakeNode>>& nodes_;
  const NodeId self_;
};

class FakeRouter final : public cluster::Router {
 public:
  FakeRouter(runtime::Env& env, std::map<NodeId, std::unique_ptr<FakeNode>>& nodes, MiniShards& shards)
      : env_(env), nodes_(nodes), shards_(shards) {}
  runtime::Task<Result<void>> refresh() override {
    rebuild();
    co_return Result<void>();
  }
  void rebuild() {
    map_.nodes.clear();
    for (const auto& [id, node] : nodes_) {
      cluster::NodeStats stats;
      stats.incarnation = node->incarnation;
      stats.disk_fault = node->disk_fault;
      map_.nodes.push_back(
          {id, address_of(id), node->hidden ? cluster::NodeState::down : cluster::NodeState::up, stats});
    }
  }
  std::map<u16, meta::ShardService::Procedure> procedures;  // of the shards' leader
  const cluster::ClusterMap& map() const override { return map_; }
  u16 shard_count() const override { return shards_.count(); }
  std::string address_of(NodeId node) const override { return fmt::format("n{}", node); }
  runtime::Task<Result<Buffer>> call_raw(ShardId shard, u16 kind, cluster::RequestId id,
                                         Buffer body) override {
    co_await env_.executor().sleep(std::chrono::microseconds(300));
    if (const auto it = procedures.find(kind); it != procedures.end())
      co_return co_await it->second(shard, id, body).result();
    co_return shards_.call(shard, kind, body, hlc_of(env_.wall_now()));
  }

 private:
  runtime::Env& env_;
  std::map<NodeId, std::unique_ptr<FakeNode>>& nodes_;
  MiniShards& shards_;
  cluster::ClusterMap map_;
};

struct FakeCluster {
  sim::World world;
  sim::Node& env;
  MiniShards shards;
  std::map<NodeId, std::unique_ptr<FakeNode>> nodes;
  FakeClient client;
  FakeRouter router;
  Nodes calls;
  std::vector<std::unique_ptr<Handlers>> handlers;

  explicit FakeCluster(u16 count, u64 seed = 1, bool with_handlers = true)
      : world(seed),
        env(world.add_node("host")),
        shards(4),
        client(env, nodes),
        router(env, nodes, shards),
        calls(env, client, router) {
    world.run_for(std::chrono::hours(1));  // stamps far from zero
    for (u16 i = 1; i <= count; ++i) {
      auto& node = nodes[NodeId{i}] = std::make_unique<FakeNode>(env);
      if (!with_handlers) continue;
      handlers.push_back(
          std::make_unique<Handlers>(Handlers::Parts{env, calls, node->methods, node->journal, node->shards,
                                                     node->disk, node->disk, node->throttle, NodeId{i}}));
    }
    router.rebuild();
  }
  std::unique_ptr<ChunkIo> chunk_io(u64 cache_bytes = 0) {
    codec::DomainKey key;
    key.bytes[0] = std::byte{42};
    return ChunkIo::create({env, client, router, SessionId{7}, key}, {cache_bytes});
  }
  template <class T>
  Result<T> wait(runtime::Task<Result<T>> task, runtime::Duration limit = std::chrono::minutes(5)) {
    auto out = sim::run(world, env, std::move(task), limit);
    if (!out) return fail(Errc::timed_out, "never ended");
    return std::move(*out);
  }
  // What CommitWrite does for them.
  void refer(const StoredChunks& stored, i64 references = 1) {
    for (const StoredChunk& chunk : stored.chunks) {
      meta::ChunkDeltas op;
      op.deltas.push_back({chunk.ref.hash, references, chunk.ref.hint, chunk.ref.chunk_length});
      CFS_CHECK(shards.call(meta::shard_of_chunk(chunk.ref.hash, shards.count()), op, hlc_of(env.wall_now()))
                    .has_value());
    }
  }
  FakeNode& node(u16 id) { return *nodes.at(NodeId{id}); }
};

}  // namespace claudefs::data
