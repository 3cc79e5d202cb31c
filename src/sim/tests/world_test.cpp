// Goal: the world is deterministic, its clock and its crashes behave as world.h and node.h say.
// Method: a chatty workload over all doors; equal seeds must give equal traces, different ones different.
#include "sim/world.h"

#include <gtest/gtest.h>

#include "sim/run.h"

namespace claudefs::sim {
namespace {

using namespace runtime;

Task<void> answer(std::unique_ptr<Stream> stream) {
  std::vector<std::byte> space(1000);
  for (;;) {
    const Result<std::size_t> got = co_await stream->read(space);
    if (!got || *got == 0) co_return;
    std::vector<Buffer> pieces;
    pieces.push_back(Buffer::copy_of(ByteSpan(space).first(*got)));
    const Result<void> put = co_await stream->write(std::move(pieces));
    if (!put) co_return;
  }
}
Task<void> serve(Env& env, Scope& scope) {
  auto listener = env.network().listen(":7000");
  if (!listener) co_return;
  for (;;) {
    Result<std::unique_ptr<Stream>> stream = co_await (*listener)->accept();
    if (!stream) co_return;
    scope.spawn(answer(std::move(*stream)));
    (void)env;
  }
}
Task<Result<void>> call_once(Env& env, std::string peer) {
  auto stream = co_await env.network().connect(peer);
  std::vector<std::byte> space(1000);
  for (int i = 0; i < 5; ++i) {
    std::vector<Buffer> pieces;
    pieces.push_back(Buffer::zeros(env.random().between(1, 5000)));
    co_await stream->write(std::move(pieces));
    co_await stream->read(space);
    auto file = co_await env.disk().open("log", OpenMode::create);
    std::vector<Buffer> line;
    line.push_back(Buffer::zeros(600));
    co_await file->write_at(env.random().between(0, 9000), std::move(line));
    co_await file->flush();
    co_await env.offload().run([] {});
  }
  co_return Result<void>();
}
Task<void> call_for_ever(Env& env, std::string peer, u64& calls) {
  for (;;) {
    (void)co_await call_once(env, peer);
    ++calls;
    co_await env.executor().sleep(1ms * static_cast<int>(env.random().between(0, 20)));
  }
}
struct Server {
  Scope scope;
  Server(Env& env, std::string peer, u64& calls) : scope(env.executor()) {
    scope.spawn(serve(env, scope));
    scope.spawn(call_for_ever(env, std::move(peer), calls));
  }
};

struct Outcome {
  u64 hash = 0;
  u64 events = 0;
  u64 calls = 0;
};
Outcome play(u64 seed) {
  Outcome out;
  World world(seed, draw_faults(seed));
  const std::vector<std::string> names = {"a", "b", "c"};
  std::map<std::string, std::unique_ptr<Server>> servers;
  for (const std::string& name : names) world.add_node(name);
  const auto start = [&](std::size_t i) {
    servers[names[i]] =
        std::make_unique<Server>(world.node(names[i]), names[(i + 1) % names.size()] + ":7000", out.calls);
  };
  for (std::size_t i = 0; i < names.size(); ++i) start(i);
  RandomStream trouble = world.stream("trouble");
  for (int round = 0; round < 20; ++round) {
    world.run_for(trouble.between_times(10ms, 300ms));
    const std::size_t victim = trouble.between(0, 2);
    Node& node = world.node(names[victim]);
    switch (trouble.between(0, 4)) {
      case 0:
        node.crash();
        servers[names[victim]].reset();
        world.run_for(trouble.between_times(0ms, 100ms));
        node.restart();
        start(victim);
        break;
      case 1:
        world.isolate(names[victim]);
        break;
      case 2:
        world.heal();
        break;
      case 3:
        node.pause(trouble.between_times(0ms, 500ms));
        break;
      case 4:
        world.reset_connections(names[victim], names[(victim + 1) % 3]);
        break;
    }
  }
  out.hash = world.trace_hash();
  out.events = world.events();
  servers.clear();
  return out;
}

TEST(World, TheSameSeedGivesTheSameTrace) {
  std::set<u64> hashes;
  u64 calls = 0;
  for (u64 seed = 1; seed <= 30; ++seed) {
    const Outcome first = play(seed);
    const Outcome second = play(seed);
    EXPECT_EQ(first.hash, second.hash) << "seed " << seed << ": " << draw_faults(seed).to_string();
    EXPECT_EQ(first.events, second.events);
    hashes.insert(first.hash);
    calls += first.calls;
  }
  EXPECT_EQ(hashes.size(), 30u);
  EXPECT_GT(calls, 1000u);  // the workload does get through
}

Task<void> note_time(Executor& executor, Duration time, std::vector<std::pair<Duration, Instant>>& out) {
  co_await executor.sleep(time);
  out.emplace_back(time, executor.now());
}
TEST(World, TimersFireWhenDueOnTheVirtualClock) {
  World world(7);
  Node& node = world.add_node("a");
  std::vector<std::pair<Duration, Instant>> fired;
  Scope scope(node.executor());
  for (const Duration time : {3h, 1h, 2h}) scope.spawn(note_time(node.executor(), time, fired));
  EXPECT_FALSE(world.run_until([&] { return fired.size() == 3; }, 2h + 30min));
  EXPECT_EQ(world.now(), Instant{} + 2h + 30min);
  EXPECT_TRUE(world.run_until([&] { return fired.size() == 3; }, 1h));
  Duration before = 0ns;
  for (const auto& [time, at] : fired) {
    EXPECT_GT(time, before);
    EXPECT_GE(at, Instant{} + time);
    EXPECT_LT(at, Instant{} + time + 1ms);
    before = time;
  }
}

Task<void> spin(Executor& executor) {
  for (;;) co_await executor.yield();
}
TEST(World, ASpinningTaskDoesNotStopTheClock) {
  World world(7);
  Node& node = world.add_node("a");
  Scope scope(node.executor());
  scope.spawn(spin(node.executor()));
  world.run_for(1ms);
  EXPECT_EQ(world.now(), Instant{} + 1ms);
}

TEST(World, APausedNodeRunsNothing) {
  World world(7);
  Node& node = world.add_node("a");
  std::vector<std::pair<Duration, Instant>> fired;
  Scope scope(node.executor());
  scope.spawn(note_time(node.executor(), 10ms, fired));
  node.pause(1s);
  world.run_for(900ms);
  EXPECT_TRUE(fired.empty());
  world.run_for(200ms);
  ASSERT_EQ(fired.size(), 1u);
  EXPECT_GE(fired[0].second, Instant{} + 1s);
}

Task<void> yield_often(Executor& executor) {
  for (int i = 0; i < 1000; ++i) co_await executor.yield();
}

TEST(World, ASlowNodeTakesLongerAndAClockCanBeSet) {
  World world(7);
  Node& node = world.add_node("a");
  const auto time_of_a_thousand = [&] {
    const Instant began = world.now();
    EXPECT_TRUE(run(world, node, yield_often(node.executor())));
    return world.now() - began;
  };
  EXPECT_LT(time_of_a_thousand(), 1ms);
  node.slow_down(100);
  EXPECT_GT(time_of_a_thousand(), 2ms);
  node.slow_down(1);
  EXPECT_LT(time_of_a_thousand(), 1ms);
  const i64 ahead = node.executor().wall_now().ns - world.now().ns;
  node.jump_clock(-5min);
  EXPECT_EQ(node.executor().wall_now().ns - world.now().ns, ahead - Duration(5min).count());
}

TEST(World, ACrashedNodeResumesNothing) {
  World world(7);
  Node& node = world.add_node("a");
  std::vector<std::pair<Duration, Instant>> fired;
  auto scope = std::make_unique<Scope>(node.executor());
  Condition condition(node.executor());
  scope->spawn(note_time(node.executor(), 10ms, fired));
  node.crash();
  condition.notify_all();
  world.run_for(1s);
  EXPECT_TRUE(fired.empty());
  scope.reset();
  node.restart();
  world.run_for(1s);
  EXPECT_TRUE(fired.empty());
}

TEST(RandomStream, DrawsOfOneStreamDoNotShiftAnother) {
  RandomStream a(1, "x"), b(1, "x"), other(1, "y"), owner(1, "x", 3);
  (void)other.next();
  u64 equal = 0;
  for (int i = 0; i < 100; ++i) {
    const u64 drawn = a.next();
    EXPECT_EQ(drawn, b.next());
    equal += drawn == other.next();
    equal += drawn == owner.next();
  }
  EXPECT_EQ(equal, 0u);
}

}  // namespace
}  // namespace claudefs::sim
