// Goal: the production doors keep the promises of env.h and executor.h on a real kernel.
// Method: small programs on one Reactor each; nothing asserts how long something takes.
#include "runtime/reactor.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "runtime/scope.h"

namespace claudefs::runtime {
namespace {

std::unique_ptr<Reactor> make_reactor() {
  auto made = Reactor::create();
  EXPECT_TRUE(made.has_value());
  return std::move(*made);
}

Task<void> sleep_and_note(Executor& executor, Duration time, std::vector<Duration>& order) {
  co_await executor.sleep(time);
  order.push_back(time);
}
Task<void> sleepers(Env& env, int count, std::vector<Duration>& order) {
  Scope scope(env.executor());
  for (int i = 0; i < count; ++i) {
    const Duration time = 1ms * static_cast<int>(env.random().between(0, 60));
    scope.spawn(sleep_and_note(env.executor(), time, order));
  }
  co_await scope.join();
}
TEST(Reactor, AThousandSleepersWakeInTheOrderOfTheirTimers) {
  auto reactor = make_reactor();
  std::vector<Duration> order;
  const Instant before = reactor->env().now();
  reactor->run(sleepers(reactor->env(), 1000, order));
  EXPECT_EQ(order.size(), 1000u);
  // All were spawned within a few ms of each other: the order may differ by that much, not by more.
  Duration latest = 0ns;
  for (const Duration time : order) {
    EXPECT_GE(time + 50ms, latest);
    latest = std::max(latest, time);
  }
  EXPECT_GE(reactor->env().now() - before, latest);
}

Task<void> three_timers(Env& env, std::vector<Duration>& order) {
  Scope scope(env.executor());
  for (const Duration time : {30ms, 10ms, 20ms, 0ms})
    scope.spawn(sleep_and_note(env.executor(), time, order));
  co_await scope.join();
}
TEST(Reactor, TimersFireInOrder) {
  auto reactor = make_reactor();
  std::vector<Duration> order;
  reactor->run(three_timers(reactor->env(), order));
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  EXPECT_EQ(order.size(), 4u);
}

Task<void> yield_often(Executor& executor, const bool& stop, int& yields) {
  while (!stop) {
    ++yields;
    co_await executor.yield();
  }
}
Task<void> sleep_beside(Env& env, int& yields) {
  bool stop = false;
  Scope scope(env.executor());
  scope.spawn(yield_often(env.executor(), stop, yields));
  co_await env.executor().sleep(5ms);
  stop = true;
  co_await scope.join();
}
TEST(Reactor, AYieldingTaskDoesNotStarveTimers) {
  auto reactor = make_reactor();
  int yields = 0;
  reactor->run(sleep_beside(reactor->env(), yields));
  EXPECT_GT(yields, 0);
}

Task<void> wait_for_count(Env& env, const int& count, int wanted) {
  while (count < wanted) co_await env.executor().sleep(1ms);
}
TEST(Reactor, PostRemoteRunsEverythingOnTheLoopsThread) {
  auto reactor = make_reactor();
  int count = 0;  // touched on the loop's thread only
  const auto home = std::this_thread::get_id();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i)
        reactor->env().executor().post_remote([&] { count += std::this_thread::get_id() == home; });
    });
  }
  reactor->run(wait_for_count(reactor->env(), count, 4000));
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(count, 4000);
}

Task<void> offload_one(Env& env, int i, std::vector<int>& out, int& elsewhere) {
  const auto home = std::this_thread::get_id();
  bool other = false;
  co_await env.offload().run([&] {
    out[i] = i * i;
    other = std::this_thread::get_id() != home;
  });
  elsewhere += other;
}
Task<void> offload_many(Env& env, std::vector<int>& out, int& elsewhere) {
  std::vector<Task<void>> tasks;
  for (int i = 0; i < static_cast<int>(out.size()); ++i) tasks.push_back(offload_one(env, i, out, elsewhere));
  co_await join_all(env.executor(), std::move(tasks));
}
TEST(Offload, RunsOnOtherThreadsAndComesBack) {
  auto reactor = make_reactor();
  std::vector<int> out(500);
  int elsewhere = 0;
  reactor->run(offload_many(reactor->env(), out, elsewhere));
  EXPECT_EQ(elsewhere, 500);
  for (int i = 0; i < 500; ++i) EXPECT_EQ(out[i], i * i);
}

Task<void> use_own_frame(Env& env, std::atomic<int>& ran) {
  std::vector<int> local(1000, 1);
  co_await env.offload().run([&] {
    std::this_thread::sleep_for(2ms);
    for (int v : local) ran += v;  // a use after free, were the frame gone
  });
}
Task<void> start_and_crash(Env& env, std::atomic<int>& ran) {
  Scope scope(env.executor());
  for (int i = 0; i < 20; ++i) scope.spawn(use_own_frame(env, ran));
  co_await env.executor().sleep(1ms);
}
TEST(Offload, ADestroyedFrameTakesItsWorkBack) {
  auto reactor = make_reactor();
  std::atomic<int> ran = 0;
  reactor->run(start_and_crash(reactor->env(), ran));
  const int at_crash = ran;
  EXPECT_LT(at_crash, 20000);
  EXPECT_EQ(at_crash % 1000, 0);
  // The pool still serves.
  std::vector<int> out(3);
  int elsewhere = 0;
  reactor->run(offload_many(reactor->env(), out, elsewhere));
  EXPECT_EQ(elsewhere, 3);
}

TEST(Reactor, SignalsReachTheLoop) {
  auto reactor = make_reactor();
  int count = 0, last = 0;
  reactor->on_signal([&](int number) {
    ++count;
    last = number;
  });
  ::raise(SIGTERM);
  reactor->run(wait_for_count(reactor->env(), count, 1));
  EXPECT_EQ(last, SIGTERM);
  ::raise(SIGINT);
  reactor->run(wait_for_count(reactor->env(), count, 2));
  EXPECT_EQ(last, SIGINT);
}

TEST(Reactor, RandomDiffersBetweenReactors) {
  auto a = make_reactor(), b = make_reactor();
  EXPECT_NE(a->env().random().next(), b->env().random().next());
  for (int i = 0; i < 100; ++i) {
    const u64 drawn = a->env().random().between(3, 5);
    EXPECT_TRUE(drawn >= 3 && drawn <= 5);
  }
  EXPECT_GT(a->env().wall_now().ns, 1'600'000'000'000'000'000);
}

}  // namespace
}  // namespace claudefs::runtime
