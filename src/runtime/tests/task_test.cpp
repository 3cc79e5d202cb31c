// Goal: error propagation, frame lifetime and waiting behave as task.h, sync.h and scope.h promise.
// Method: a bare executor that runs its ready queue by hand.
#include "runtime/scope.h"

#include <gtest/gtest.h>

#include <map>

#include "base/ids.h"

namespace claudefs::runtime {
namespace {

class ManualExecutor final : public Executor {
 public:
  void post(WaitNode& node) override { ready_.push_back(node); }
  void arm(TimerNode& node) override {
    node.armed_ = true;
    node.sequence = ++sequence_;
    timers_[{node.due, node.sequence}] = &node;
  }
  void disarm(TimerNode& node) override {
    node.armed_ = false;
    timers_.erase({node.due, node.sequence});
  }
  Instant now() const override { return now_; }
  WallTime wall_now() const override { return {now_.ns}; }
  void post_remote(std::function<void()> work) override { work(); }
  void step() {
    WaitNode& node = ready_.front();
    node.unlink();
    node.handle.resume();
  }
  void run() {
    for (;;) {
      while (!ready_.empty()) {
        WaitNode& node = ready_.front();
        node.unlink();
        node.handle.resume();
      }
      if (timers_.empty()) return;
      TimerNode* next = timers_.begin()->second;
      now_ = std::max(now_, next->due);
      disarm(*next);
      next->fire();
    }
  }

 private:
  WaitList ready_;
  std::map<std::pair<Instant, u64>, TimerNode*> timers_;
  u64 sequence_ = 0;
  Instant now_{};
};

Task<Result<int>> succeed(int v) { co_return v; }
Task<Result<int>> refuse() { co_return fail(Errc::busy, "no"); }
Task<Result<int>> sum(bool bad, int& reached) {
  int a = co_await succeed(1);
  reached = 1;
  int b = co_await (bad ? refuse() : succeed(2));
  reached = 2;
  co_return a + b;
}
Task<Result<std::string>> outer(bool bad, int& reached) {
  const int total = co_await sum(bad, reached);
  co_return std::to_string(total);
}
Task<void> drive(bool bad, int& reached, Result<std::string>& out) { out = co_await outer(bad, reached); }

TEST(Task, ValuesPass) {
  ManualExecutor executor;
  Scope scope(executor);
  int reached = 0;
  Result<std::string> out = fail(Errc::stale);
  scope.spawn(drive(false, reached, out));
  EXPECT_EQ(*out, "3");
  EXPECT_EQ(scope.running(), 0u);
}
TEST(Task, AnErrorEndsEveryAwaiterUpToTheOneThatLooks) {
  ManualExecutor executor;
  Scope scope(executor);
  int reached = 0;
  Result<std::string> out = std::string();
  scope.spawn(drive(true, reached, out));
  EXPECT_EQ(reached, 1);
  EXPECT_EQ(out.error(), (Error{Errc::busy, "no"}));
  EXPECT_EQ(scope.running(), 0u);
}

Task<Result<int>> look() {
  Result<int> seen = co_await refuse().result();
  co_return seen ? 0 : 7;
}
Task<void> drive_look(int& out) { out = *co_await look(); }
TEST(Task, ResultStopsPropagation) {
  ManualExecutor executor;
  Scope scope(executor);
  int out = 0;
  scope.spawn(drive_look(out));
  EXPECT_EQ(out, 7);
}

Task<Result<int>> bare(Result<int> r) {
  const int v = co_await std::move(r);
  co_return v + 1;
}
Task<void> drive_bare(Result<int> in, Result<int>& out) { out = co_await bare(std::move(in)); }
TEST(Task, ABareResultPropagatesToo) {
  ManualExecutor executor;
  Scope scope(executor);
  Result<int> out = 0;
  scope.spawn(drive_bare(4, out));
  EXPECT_EQ(*out, 5);
  scope.spawn(drive_bare(fail(Errc::exists), out));
  EXPECT_EQ(out.error().code, Errc::exists);
}

struct Noted {
  int& alive;
  explicit Noted(int& a) : alive(a) { ++alive; }
  ~Noted() { --alive; }
};
Task<void> sleeper(Executor& executor, int& alive) {
  Noted noted(alive);
  co_await executor.sleep(1s);
}
TEST(Scope, DestructionIsACrash) {
  ManualExecutor executor;
  int alive = 0;
  {
    Scope scope(executor);
    scope.spawn(sleeper(executor, alive));
    EXPECT_EQ(alive, 1);
  }
  EXPECT_EQ(alive, 0);
  executor.run();
}

Task<void> wait_for(Condition& condition, Instant until, int& notified, int& timed_out) {
  ++(co_await condition.wait_until(until) ? notified : timed_out);
}
Task<void> notify_at(Executor& executor, Condition& condition, Instant at) {
  co_await executor.sleep_until(at);
  condition.notify_all();
}
TEST(Condition, DeadlineAndNotifyEachWakeOnce) {
  ManualExecutor executor;
  Condition condition(executor);
  Scope scope(executor);
  int notified = 0, timed_out = 0;
  scope.spawn(wait_for(condition, {10}, notified, timed_out));
  scope.spawn(wait_for(condition, {30}, notified, timed_out));
  scope.spawn(wait_for(condition, {20}, notified, timed_out));
  scope.spawn(notify_at(executor, condition, {20}));
  executor.run();
  EXPECT_EQ(notified + timed_out, 3);
  EXPECT_EQ(timed_out, 2);
  EXPECT_EQ(scope.running(), 0u);
}

Task<void> hold(Executor& executor, Mutex& mutex, int& inside, int& most) {
  auto guard = co_await mutex.lock();
  most = std::max(most, ++inside);
  co_await executor.yield();
  --inside;
}
TEST(Mutex, HoldsOneAtATime) {
  ManualExecutor executor;
  Mutex mutex(executor);
  Scope scope(executor);
  int inside = 0, most = 0;
  for (int i = 0; i < 10; ++i) scope.spawn(hold(executor, mutex, inside, most));
  executor.run();
  EXPECT_EQ(most, 1);
  EXPECT_EQ(scope.running(), 0u);
}

Task<void> hold_until(Semaphore& semaphore, std::size_t count, Event& release, int& served) {
  auto permit = co_await semaphore.acquire(count);
  ++served;
  co_await release.wait();
}
TEST(Semaphore, ADestroyedWaiterBlocksNobodyAndKeepsNothing) {
  ManualExecutor executor;
  Semaphore semaphore(executor, 3);
  Event release(executor), never(executor);
  int served = 0, lost = 0;
  Scope holders(executor), others(executor);
  holders.spawn(hold_until(semaphore, 3, release, served));
  {
    Scope doomed(executor);
    doomed.spawn(hold_until(semaphore, 2, never, lost));  // first in the queue
    others.spawn(hold_until(semaphore, 1, never, served));
    executor.run();
    EXPECT_EQ(served, 1);
    release.set();
    // The holder is still to be resumed: nothing is granted yet.
  }
  executor.run();
  EXPECT_EQ(served, 2);
  EXPECT_EQ(semaphore.free_permits(), 2u);
  {
    Scope doomed(executor);
    Event second(executor);
    others.spawn(hold_until(semaphore, 2, second, served));
    executor.run();
    doomed.spawn(hold_until(semaphore, 1, never, lost));
    second.set();
    executor.step();  // the holder ends and grants; the waiter has not run
    EXPECT_EQ(semaphore.free_permits(), 1u);
  }
  EXPECT_EQ(lost, 0);
  EXPECT_EQ(semaphore.free_permits(), 2u);
}

Task<Result<int>> later(Executor& executor, int v) {
  co_await executor.sleep(1ms);
  if (v < 0) co_return fail(Errc::busy);
  co_return v;
}
Task<void> drive_join(Executor& executor, std::vector<Result<int>>& out) {
  std::vector<Task<Result<int>>> tasks;
  for (int v : {1, -1, 3}) tasks.push_back(later(executor, v));
  out = co_await join_all(executor, std::move(tasks));
}
TEST(JoinAll, KeepsOrderAndErrors) {
  ManualExecutor executor;
  Scope scope(executor);
  std::vector<Result<int>> out;
  scope.spawn(drive_join(executor, out));
  executor.run();
  ASSERT_EQ(out.size(), 3u);
  EXPECT_EQ(*out[0], 1);
  EXPECT_FALSE(out[1].has_value());
  EXPECT_EQ(*out[2], 3);
}

Task<int> deep(int n) {
  if (n == 0) co_return 0;
  co_return 1 + co_await deep(n - 1);
}
Task<void> drive_deep(int& out) { out = co_await deep(100000); }
TEST(Task, DeepChainsDoNotUseTheStack) {
#if defined(CLAUDEFS_SANITIZED) || !defined(__OPTIMIZE__)
  GTEST_SKIP() << "symmetric transfer needs tail calls";
#endif
  ManualExecutor executor;
  Scope scope(executor);
  int out = 0;
  scope.spawn(drive_deep(out));
  EXPECT_EQ(out, 100000);
}

}  // namespace
}  // namespace claudefs::runtime
