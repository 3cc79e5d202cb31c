// Goal: under resets, partitions, slow links and crashes every call ends by its deadline, an answer is the
// answer to its own question, and "unavailable" is only said of what was never run.
// Method: numbered calls over the simulated network, faults drawn from the seed; the servers write down what
// they ran.
#include <set>

#include "net/tests/rpc_fixture.h"
#include "sim/run.h"

namespace claudefs::net::test {
namespace {

struct Tally {
  std::set<u64> ran;  // call numbers
  std::set<u64> twice;
  std::map<u64, Errc> ended;
  u64 wrong_answers = 0;
  u64 late = 0;
};

struct Count {
  static constexpr u16 kMethod = 20;
  struct Reply {
    u64 number = 0;
    static auto fields(auto& self) { return std::tie(self.number); }
  };
  u64 number = 0;
  u64 wait_us = 0;
  static auto fields(auto& self) { return std::tie(self.number, self.wait_us); }
};

struct CountServer {
  CountServer(runtime::Env& e, std::string address, Tally& t) : env(e), tally(t) {
    methods.on<Count>([this](Count m, Request r) { return count(std::move(m), std::move(r)); });
    server = Server::start(env, std::move(address), identity(1), methods).value();
  }
  Task<Result<TypedReply<Count::Reply>>> count(Count m, Request r) {
    if (!tally.ran.insert(m.number).second) tally.twice.insert(m.number);
    co_await env.executor().sleep(std::chrono::microseconds(m.wait_us));
    co_return TypedReply<Count::Reply>{{m.number}, r.payload};
  }
  runtime::Env& env;
  Tally& tally;
  MethodTable methods;
  std::unique_ptr<Server> server;
};

Task<void> count_once(runtime::Env& env, Client& client, u64 number, Tally& tally) {
  const u64 wait_us = env.random().between(0, 20000);
  const Buffer payload = number % 16 == 0 ? pattern(40000 + number) : Buffer();
  const runtime::Instant limit = env.now() + 2s;
  auto reply = co_await call(client, "s:7000", Count{number, wait_us}, 2s, payload);
  tally.ended[number] = reply ? Errc::ok : reply.error().code;
  if (reply && (reply->message.number != number || reply->payload != payload)) ++tally.wrong_answers;
  if (env.now() > limit + 100ms) ++tally.late;
}
Task<void> caller(runtime::Env& env, Client& client, u64 first, u64 calls, Tally& tally) {
  for (u64 i = 0; i < calls; ++i) {
    co_await count_once(env, client, first + i, tally);
    co_await env.executor().sleep(std::chrono::microseconds(env.random().between(0, 30000)));
  }
}

u64 run_seed(u64 seed, Tally& tally) {
  sim::World world(
      seed, {.slow_segment = seed % 2 == 0 ? 2000u : 0u, .connection_reset = seed % 3 == 0 ? 3000u : 0u});
  sim::Node& c = world.add_node("c");
  sim::Node& s = world.add_node("s");
  auto server = std::make_unique<CountServer>(s, "s:7000", tally);
  auto client = Client::create(c, identity(0));
  runtime::Scope scope(c.executor());
  constexpr u64 kCallers = 12, kCalls = 60;
  for (u64 i = 0; i < kCallers; ++i) scope.spawn(caller(c, *client, i * 1000, kCalls, tally));
  auto troubles = world.stream("troubles");
  for (int i = 0; i < 6; ++i) {
    const auto at = std::chrono::milliseconds(troubles.between(10, 1500));
    switch (troubles.next() % 3) {
      case 0:
        world.after(at, [&] { world.reset_connections("c", "s"); });
        break;
      case 1:
        world.after(at, [&] { world.partition({"c"}, {"s"}); });
        world.after(at + std::chrono::milliseconds(troubles.between(10, 6000)), [&] { world.heal(); });
        break;
      default:
        world.after(at, [&] {
          if (!s.is_up()) return;
          s.crash();
          server.reset();
        });
        world.after(at + 200ms, [&] {
          if (s.is_up()) return;
          s.restart();
          server = std::make_unique<CountServer>(s, "s:7000", tally);
        });
    }
  }
  EXPECT_TRUE(world.run_until([&] { return scope.running() == 0; }, 5min)) << "seed " << seed;
  EXPECT_EQ(tally.ended.size(), kCallers * kCalls);
  client.reset();
  server.reset();
  return world.trace_hash();
}

TEST(RpcSim, EveryCallEndsAsItsErrorSays) {
  u64 good = 0, lost = 0;
  for (u64 seed = 1; seed <= 60; ++seed) {
    Tally tally;
    run_seed(seed, tally);
    EXPECT_EQ(tally.wrong_answers, 0u) << "seed " << seed;
    EXPECT_EQ(tally.late, 0u) << "seed " << seed;
    EXPECT_TRUE(tally.twice.empty()) << "seed " << seed;
    for (const auto& [number, code] : tally.ended) {
      if (code == Errc::ok) {
        ++good;
        EXPECT_TRUE(tally.ran.contains(number)) << "seed " << seed;
      } else if (code == Errc::unavailable) {
        EXPECT_FALSE(tally.ran.contains(number)) << "seed " << seed << " call " << number;
      } else {
        ++lost;
        EXPECT_TRUE(code == Errc::connection_lost || code == Errc::timed_out)
            << "seed " << seed << name_of(code);
      }
    }
  }
  EXPECT_GT(good, 10000u);
  EXPECT_GT(lost, 50u);  // or the faults reached nothing
}

TEST(RpcSim, TheSameSeedGivesTheSameTrace) {
  for (u64 seed : {3, 6, 7}) {
    Tally one, two;
    EXPECT_EQ(run_seed(seed, one), run_seed(seed, two));
    EXPECT_EQ(one.ended, two.ended);
  }
}

Task<void> endless(Client& client, std::optional<Error>& out, runtime::Env& env, runtime::Instant& ended) {
  auto reply = co_await call(client, "s:7000", Sleep{3600'000}, 10min);
  out = reply ? Error{} : reply.error();
  ended = env.now();
}
Task<void> expect_alive(Client& client, bool& alive) {
  auto reply = co_await call(client, "s:7000", Sleep{60'000}, 10min);
  alive = reply.has_value();
}
TEST(RpcSim, ASilentPeerIsGivenUpAndASlowOneIsNot) {
  sim::World world(1);
  sim::Node& c = world.add_node("c");
  sim::Node& s = world.add_node("s");
  Service service(s);
  auto server = Server::start(s, "s:7000", identity(1), service.methods).value();
  auto client = Client::create(c, identity(0));
  runtime::Scope scope(c.executor());
  bool alive = false;
  scope.spawn(expect_alive(*client, alive));
  EXPECT_TRUE(world.run_until([&] { return alive; }, 2min));  // a minute of work, kept alive by pings

  std::optional<Error> out;
  runtime::Instant ended{};
  scope.spawn(endless(*client, out, c, ended));
  world.run_for(1s);
  const runtime::Instant cut = world.now();
  world.isolate("s");
  EXPECT_TRUE(world.run_until([&] { return out.has_value(); }, 1min));
  EXPECT_EQ(out->code, Errc::connection_lost);
  EXPECT_LT(ended - cut, Duration(8s));
}

}  // namespace
}  // namespace claudefs::net::test
