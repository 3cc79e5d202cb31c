// Two servers and any number of clients in one simulated world, over real messages; Raft is a stand-in that
// commits at once, whose leader the test moves. Chunks lie in a map that all share.
#pragma once

#include "client/tests/fake_cluster.h"
#include "meta/lease_operations.h"
#include "raft/host.h"
#include "sim/node.h"
#include "sim/run.h"

namespace claudefs::client::testing {

class SharedCluster {
 public:
  explicit SharedCluster(u64 seed, meta::SplitPolicy policy = {})
      : world(seed), split(std::move(policy)), leader(0) {
    identity.secret = "secret";
    for (int i = 0; i < 2; ++i) {
      servers.push_back(std::make_unique<Server>(world.add_node(i == 0 ? "s0" : "s1")));
      start_server(static_cast<std::size_t>(i));
    }
    lead(0);
    world.run_for(std::chrono::seconds(1));
  }
  ~SharedCluster() {
    clients.clear();
    for (auto& server : servers) {
      server->rpc_server.reset();
      server->service.reset();
    }
  }

  struct Client {
    explicit Client(sim::Node& at) : node(at) {}
    sim::Node& node;
    net::MethodTable pushes;
    std::unique_ptr<net::Client> rpc;
    std::unique_ptr<cluster::Router> router;
    std::shared_ptr<FakeChunks> chunks;
    std::unique_ptr<FileSystem> fs;
  };
  Client& add_client(const std::string& name) {
    clients.push_back(std::make_unique<Client>(world.add_node(name)));
    Client& client = *clients.back();
    client.rpc = net::Client::create(client.node, identity, &client.pushes);
    client.router = cluster::Router::create(client.node, *client.rpc, {"s0:1", "s1:1"});
    client.chunks = std::make_shared<FakeChunks>(client.node);
    auto chunks = client.chunks;
    ChunkIoFactory factory = [chunks](SessionId, codec::DomainKey) { return chunks; };
    FileSystem::Parts parts{client.node, *client.router, factory, client.rpc.get(), &client.pushes};
    Options options;
    options.write_back_after = std::chrono::seconds(3600);  // only when it must
    client.fs = FileSystem::create(parts, options);
    EXPECT_TRUE(run(client, client.fs->start()).has_value());
    world.run_for(std::chrono::seconds(1));
    return client;
  }
  template <class T>
  T run(Client& client, runtime::Task<T> task) {
    auto done = sim::run(world, client.node, std::move(task));
    EXPECT_TRUE(done.has_value()) << "not done within five minutes";
    return std::move(*done);
  }
  void lead(std::size_t number) {
    if (term.value != 0) machine(leader)->on_leadership(false, term);
    leader = number;
    ++term;
    log.push_back({LogIndex{log.size() + 1}, term, {}});
    apply_all();
    machine(leader)->on_leadership(true, term);
  }

  struct Server {
    explicit Server(sim::Node& at) : node(at) {}
    sim::Node& node;
    store::MemoryKv kv;
    meta::OperationTable table;
    net::MethodTable methods;
    net::MethodTable counted;  // the same behind counters: what clients reach
    std::unique_ptr<net::Client> rpc;
    raft::StateMachine* machine = nullptr;
    std::unique_ptr<raft::Host> host;
    std::unique_ptr<cluster::Router> router;
    std::unique_ptr<meta::ShardService> service;
    std::unique_ptr<net::Server> rpc_server;
  };

  sim::World world;
  const meta::SplitPolicy split;
  net::Identity identity;
  std::vector<std::unique_ptr<Server>> servers;
  std::vector<std::unique_ptr<Client>> clients;
  std::size_t leader;
  Term term{};
  std::vector<raft::Committed> log;
  u64 requests = 0;                        // of clients to shards
  runtime::Duration next_answer_after{0};  // the next request's answer waits that long

 private:
  static runtime::Task<Result<net::Reply>> answer_later(sim::Node* node,
                                                        runtime::Task<Result<net::Reply>> work,
                                                        runtime::Duration after) {
    Result<net::Reply> reply = co_await std::move(work).result();
    if (after.count() != 0) co_await node->executor().sleep(after);
    co_return reply;
  }
  class Host final : public raft::Host {
   public:
    Host(SharedCluster& cluster, std::size_t self) : cluster_(cluster), self_(self) {}
    Result<void> add_group(ShardId, std::vector<NodeId>, raft::StateMachine& machine) override {
      cluster_.servers[self_]->machine = &machine;
      return {};
    }
    void start() override {}
    runtime::Task<Result<Buffer>> propose(ShardId, Buffer command) override {
      co_await cluster_.servers[self_]->node.executor().sleep(runtime::Duration(300'000));
      if (cluster_.leader != self_) co_return fail(Errc::not_leader);
      cluster_.log.push_back({LogIndex{cluster_.log.size() + 1}, cluster_.term, std::move(command)});
      Buffer reply = cluster_.apply_all();
      co_return reply;
    }
    runtime::Task<Result<void>> read_barrier(ShardId) override {
      if (cluster_.leader != self_) co_return fail(Errc::not_leader);
      co_return Result<void>();
    }
    bool holds_lease(ShardId) const override { return cluster_.leader == self_; }
    raft::GroupStatus status(ShardId group) const override {
      raft::GroupStatus out;
      out.group = group;
      out.leader = cluster_.leader == self_;
      return out;
    }
    std::vector<ShardId> groups() const override { return {}; }
    u64 log_bytes() const override { return 0; }
    runtime::Task<Result<void>> transfer_leadership(ShardId, NodeId) override {
      co_return fail(Errc::unsupported);
    }
    runtime::Task<void> stop() override { co_return; }

   private:
    SharedCluster& cluster_;
    std::size_t self_;
  };

  raft::StateMachine* machine(std::size_t number) { return servers[number]->machine; }
  Buffer apply_all() {
    Buffer reply;
    for (std::size_t i = 0; i < servers.size(); ++i) {
      raft::StateMachine* at = machine(i);
      const auto from = log.begin() + static_cast<long>(at->applied().value);
      std::vector<Buffer> replies = at->apply({from, log.end()});
      if (i == leader && !replies.empty()) reply = replies.back();
    }
    return reply;
  }
  void start_server(std::size_t number) {
    Server& server = *servers[number];
    meta::register_namespace(server.table);
    server.table.add_command(
        meta::ChunkDeltas::kKind,
        [](meta::ApplyContext&, const Buffer&) -> Result<Buffer> { return wire::encode(meta::Nothing{}); });
    server.rpc = net::Client::create(server.node, identity);
    server.host = std::make_unique<Host>(*this, number);
    server.router = cluster::Router::create(server.node, *server.rpc, {"s0:1", "s1:1"});
    server.service = meta::ShardService::create(
        {server.node, *server.host, *server.router, server.methods, server.kv, server.table}, 1);
    meta::register_namespace(*server.service, {}, split);
    EXPECT_TRUE(server.service->add_shard(ShardId{0}, {NodeId{1}, NodeId{2}}).has_value());
    const net::MethodTable::Handler serve = *server.methods.find(cluster::ShardRequest::kMethod);
    server.counted.add(
        cluster::ShardRequest::kMethod, [this, at = &server.node, serve](net::Request request) {
          ++requests;
          return answer_later(at, serve(std::move(request)), std::exchange(next_answer_after, {}));
        });
    server.counted.add(meta::KeepAlive::kMethod, *server.methods.find(meta::KeepAlive::kMethod));
    server.counted.add(cluster::GetMap::kMethod, [this](net::Request) { return map(this); });
    server.service->start();
    auto started = net::Server::start(server.node, number == 0 ? "s0:1" : "s1:1", identity, server.counted);
    EXPECT_TRUE(started.has_value());
    server.rpc_server = std::move(*started);
  }
  static runtime::Task<Result<net::Reply>> map(SharedCluster* self) {
    cluster::ClusterMap map;
    for (u16 i = 0; i < 2; ++i)
      map.nodes.push_back(
          {NodeId{static_cast<u16>(i + 1)}, i == 0 ? "s0:1" : "s1:1", cluster::NodeState::up, {}});
    for (cluster::NodeView& node : map.nodes) node.stats.raw_total = 1_GiB;
    map.shards.push_back({ShardId{0}, {NodeId{1}, NodeId{2}}, NodeId{static_cast<u16>(self->leader + 1)}});
    co_return net::Reply{wire::encode(map), {}};
  }
};

}  // namespace claudefs::client::testing
