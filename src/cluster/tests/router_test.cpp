// Goal: the router finds the leader, and finds the next one soon after it is elected, however the old one
// went; the membership sees who is there. Method: three simulated nodes with a fake shard service whose
// leader the test appoints.
#include <algorithm>

#include <gtest/gtest.h>

#include "cluster/membership.h"
#include "cluster/shard_call.h"
#include "sim/run.h"

namespace claudefs::cluster {
namespace {

using runtime::Duration;
using runtime::Instant;
using runtime::Task;
using namespace std::chrono_literals;

struct Put {
  static constexpr u16 kKind = 5;
  struct Reply {
    u64 number = 0;
    u16 by = 0;
    static auto fields(auto& self) { return std::tie(self.number, self.by); }
  };
  u64 number = 0;
  static auto fields(auto& self) { return std::tie(self.number); }
};

struct Rig;
struct FakeNode {
  FakeNode(Rig& r, sim::Node& e, NodeId self);
  Task<Result<net::TypedReply<ShardReply>>> serve(ShardRequest request);
  Rig& rig;
  sim::Node& env;
  NodeId id;
  net::MethodTable methods;
  std::unique_ptr<net::Client> client;
  std::unique_ptr<Membership> membership;
  std::unique_ptr<net::Server> server;
};

struct Rig {
  explicit Rig(u64 seed, u16 size = 3) : world(seed) {
    spec.id[0] = std::byte{7};
    spec.name = "test";
    spec.secret = "00";
    spec.shards = 4;
    for (u16 i = 1; i <= size; ++i) {
      const std::string name(1, static_cast<char>('a' + i - 1));
      spec.nodes.push_back({NodeId{i}, name + ":7400"});
      world.add_node(name);
    }
    client_node = &world.add_node("client");
    for (u16 i = 1; i <= size; ++i) start(i);
    client = net::Client::create(*client_node, identity({}));
    router = Router::create(*client_node, *client, {"a:7400", "b:7400", "c:7400"}, options);
  }
  ~Rig() {
    router.reset();
    client.reset();
    nodes.clear();
  }
  net::Identity identity(NodeId node) const { return {spec.id, node, spec.secret}; }
  static std::string name_of(u16 i) { return std::string(1, static_cast<char>('a' + i - 1)); }
  void start(u16 i) { nodes[i] = std::make_unique<FakeNode>(*this, world.node(name_of(i)), NodeId{i}); }
  void crash(u16 i) {
    world.node(name_of(i)).crash();
    nodes[i].reset();
  }

  sim::World world;
  ClusterSpec spec;
  RouterOptions options;
  u16 leader = 1;  // 0: an election is under way
  u16 hinted = 1;  // whom the others believe to lead
  std::map<u16, std::unique_ptr<FakeNode>> nodes;
  std::map<u64, int> applied;
  Errc next_error = Errc::ok;  // what the leader answers once
  sim::Node* client_node;
  std::unique_ptr<net::Client> client;
  std::unique_ptr<Router> router;
};

FakeNode::FakeNode(Rig& r, sim::Node& e, NodeId self) : rig(r), env(e), id(self) {
  methods.on<ShardRequest>([this](ShardRequest m, net::Request) { return serve(std::move(m)); });
  client = net::Client::create(env, rig.identity(id));
  const auto own = [this] {
    Heartbeat beat;
    beat.stats.raw_total = 100u + id.value;
    if (rig.leader == id.value) beat.leads = {ShardId{0}, ShardId{1}, ShardId{2}, ShardId{3}};
    return beat;
  };
  membership = Membership::start(env, *client, methods, rig.spec, id, own);
  server = net::Server::start(env, rig.spec.find(id)->address, rig.identity(id), methods).value();
}
Task<Result<net::TypedReply<ShardReply>>> FakeNode::serve(ShardRequest request) {
  ShardReply reply;
  if (rig.leader != id.value) {
    reply.code = Errc::not_leader;
    reply.leader_hint = NodeId{rig.hinted};
    co_return net::TypedReply<ShardReply>{reply, {}};
  }
  if (rig.next_error != Errc::ok) {
    reply.code = std::exchange(rig.next_error, Errc::ok);
    reply.text = "as told";
    co_return net::TypedReply<ShardReply>{reply, {}};
  }
  const Put put = co_await wire::decode<Put>(request.body);
  ++rig.applied[put.number];
  Put::Reply answer{put.number, id.value};
  reply.body = wire::encode(answer);
  co_return net::TypedReply<ShardReply>{reply, {}};
}

Result<Put::Reply> put(Rig& rig, u64 number, u16 shard = 2) {
  auto out = sim::run(rig.world, *rig.client_node, rig.router->call(ShardId{shard}, Put{number}));
  EXPECT_TRUE(out.has_value());
  return std::move(*out);
}

TEST(Router, FindsTheLeaderAndRemembersIt) {
  Rig rig(1);
  rig.leader = rig.hinted = 3;
  Result<Put::Reply> first = put(rig, 1);
  ASSERT_TRUE(first.has_value()) << first.error().to_string();
  EXPECT_EQ(first->by, 3);
  EXPECT_EQ(rig.router->shard_count(), 4);
  EXPECT_EQ(rig.router->address_of(NodeId{2}), "b:7400");
  EXPECT_EQ(rig.router->address_of(NodeId{9}), "");
  const u64 calls = rig.client->stats().calls_made;
  EXPECT_TRUE(put(rig, 2).has_value());
  EXPECT_EQ(rig.client->stats().calls_made, calls + 1);
}

TEST(Router, GivesTheOperationsOwnErrors) {
  Rig rig(2);
  for (Errc code : {Errc::not_found, Errc::conflict, Errc::quota_exceeded, Errc::fenced}) {
    rig.next_error = code;
    EXPECT_EQ(put(rig, 1).error(), (Error{code, "as told"}));
  }
  for (Errc code : {Errc::unavailable, Errc::overloaded, Errc::timed_out}) {
    rig.next_error = code;
    EXPECT_TRUE(put(rig, 2).has_value()) << claudefs::name_of(code);
  }
  EXPECT_EQ(rig.applied.count(1), 0u);
  EXPECT_EQ(put(rig, 3, 4).error().code, Errc::invalid_argument);
}

// How long a call takes that begins when the leader goes; the next one leads after `election`.
Duration fail_over(u64 seed, Duration election, const std::function<void(Rig&)>& go) {
  Rig rig(seed);
  rig.leader = rig.hinted = 1;
  EXPECT_TRUE(put(rig, 1).has_value());
  rig.world.run_for(1s);
  const Instant began = rig.world.now();
  go(rig);
  rig.leader = 0;
  rig.world.after(election, [&] { rig.leader = rig.hinted = 2; });
  Result<Put::Reply> next = put(rig, 2);
  EXPECT_TRUE(next.has_value()) << next.error().to_string();
  const Duration took = rig.world.now() - began;
  EXPECT_EQ(rig.applied[2], 1);
  // The other shards of the dead node do not pay again.
  const Instant then = rig.world.now();
  EXPECT_TRUE(put(rig, 3, 0).has_value());
  EXPECT_TRUE(put(rig, 4, 1).has_value());
  EXPECT_LT(rig.world.now() - then, Duration(100ms));
  return took;
}
TEST(Router, FailsOverSoonAfterACrash) {
  for (u64 seed = 10; seed < 40; ++seed) {
    const Duration election = std::chrono::milliseconds(300 + 40 * (seed - 10));
    EXPECT_LT(fail_over(seed, election, [](Rig& rig) { rig.crash(1); }), election + election / 2 + 100ms)
        << seed;
  }
}
TEST(Router, FailsOverWhenTheLeaderFallsSilent) {
  for (u64 seed = 40; seed < 60; ++seed) {
    const Duration took = fail_over(seed, 1s, [](Rig& rig) { rig.world.isolate("a"); });
    EXPECT_LT(took, Duration(3s)) << seed;  // one attempt's time-out and a little
  }
}
TEST(Router, FollowsALeaderThatStepsDown) {
  for (u64 seed = 60; seed < 80; ++seed) EXPECT_LT(fail_over(seed, 1ms, [](Rig&) {}), Duration(50ms)) << seed;
}

// A shard that moved since the cluster was made; the others do not know where to.
TEST(Router, FindsALeaderThatIsNoneOfTheFirstReplicas) {
  Rig rig(81, 6);
  std::vector<u16> others;
  const std::vector<NodeId> first = replicas_of(rig.spec, ShardId{2});
  for (u16 i = 1; i <= 6; ++i)
    if (std::ranges::find(first, NodeId{i}) == first.end()) others.push_back(i);
  ASSERT_EQ(others.size(), 3u);
  rig.hinted = 0;
  rig.leader = others[0];
  rig.world.run_for(2s);
  ASSERT_TRUE(put(rig, 1).has_value());
  // It is away for a while, and leads again.
  rig.world.isolate(Rig::name_of(others[0]));
  rig.world.after(8s, [&] { rig.world.heal(); });
  const Result<Put::Reply> again = put(rig, 2);
  ASSERT_TRUE(again.has_value()) << again.error().to_string();
  EXPECT_EQ(again->by, others[0]);
  ASSERT_TRUE(put(rig, 3, 3).has_value());
  // Gone for good: one shard's call finds that out, the other's knows it for the leader.
  rig.hinted = others[0];
  rig.crash(others[0]);
  rig.leader = others[1];
  ASSERT_TRUE(put(rig, 4, 3).has_value());
  const Instant began = rig.world.now();
  const Result<Put::Reply> next = put(rig, 5);
  ASSERT_TRUE(next.has_value()) << next.error().to_string();
  EXPECT_LT(rig.world.now() - began, Duration(6s));
}

TEST(Router, SaysWhoWasTriedWhenNobodyAnswers) {
  Rig rig(3);
  rig.world.isolate("client");
  auto out = sim::run(rig.world, *rig.client_node, rig.router->refresh());
  ASSERT_TRUE(out.has_value());
  EXPECT_EQ(out->error().code, Errc::unavailable);
  EXPECT_NE(out->error().text.find("a:7400, b:7400, c:7400"), std::string::npos) << out->error().text;
  EXPECT_EQ(put(rig, 1).error().code, Errc::unavailable);
  rig.world.heal();
  EXPECT_TRUE(put(rig, 2).has_value());
}
TEST(Router, GivesUpAtItsDeadline) {
  Rig rig(4);
  EXPECT_TRUE(put(rig, 1).has_value());
  rig.leader = rig.hinted = 0;
  const Instant began = rig.world.now();
  const Error error = put(rig, 2).error();
  EXPECT_EQ(error.code, Errc::unavailable);
  EXPECT_NE(error.text.find("shard 2"), std::string::npos) << error.text;
  EXPECT_NEAR(static_cast<double>((rig.world.now() - began).count()), 60e9, 2e9);
}

TEST(Membership, SeesWhoIsThere) {
  Rig rig(5);
  rig.leader = 2;
  rig.world.run_for(2s);
  for (u16 i = 1; i <= 3; ++i) {
    const ClusterMap map = rig.nodes[i]->membership->map();
    EXPECT_EQ(map.up().size(), 3u);
    EXPECT_EQ(map.find(NodeId{3})->stats.raw_total, 103u);
    EXPECT_EQ(map.shards[1].leader, NodeId{2});
    EXPECT_EQ(map.shards[1].replicas.size(), 3u);
  }
  rig.crash(2);
  rig.leader = 3;
  rig.world.run_for(4s);
  for (u16 i : {1, 3}) {
    const ClusterMap map = rig.nodes[i]->membership->map();
    EXPECT_EQ(map.find(NodeId{2})->state, NodeState::down);
    EXPECT_FALSE(rig.nodes[i]->membership->is_up(NodeId{2}));
    EXPECT_EQ(map.up(), (std::vector<NodeId>{NodeId{1}, NodeId{3}}));
    EXPECT_EQ(map.shards[1].leader, NodeId{3});
  }
  rig.world.node("b").restart();
  rig.start(2);
  EXPECT_EQ(rig.nodes[2]->membership->map().find(NodeId{1})->state, NodeState::unknown);
  rig.world.run_for(5s);
  EXPECT_TRUE(rig.nodes[1]->membership->is_up(NodeId{2}));
  EXPECT_TRUE(rig.nodes[2]->membership->is_up(NodeId{1}));
}

}  // namespace
}  // namespace claudefs::cluster
