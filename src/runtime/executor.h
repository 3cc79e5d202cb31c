// The event loop's door: who may resume a coroutine, when, and what time it is.
//
// One Executor per reactor thread (or per simulated node). Everything here is called on that thread only,
// except `post_remote`. A suspended coroutine hangs in an intrusive list by a WaitNode inside its own
// frame; destroying the frame unhooks it, so a crash in the simulator is the destruction of a Scope.
#pragma once

#include <chrono>
#include <coroutine>
#include <cstdint>
#include <functional>

#include "base/check.h"

namespace claudefs::runtime {

using Duration = std::chrono::nanoseconds;
using namespace std::chrono_literals;

// Nanoseconds on a clock that never jumps and counts suspend (CLOCK_BOOTTIME). Only differences mean
// anything.
struct Instant {
  std::int64_t ns = 0;
  auto operator<=>(const Instant&) const = default;
  friend Instant operator+(Instant at, Duration d) { return {at.ns + d.count()}; }
  friend Instant operator-(Instant at, Duration d) { return {at.ns - d.count()}; }
  friend Duration operator-(Instant a, Instant b) { return Duration(a.ns - b.ns); }
  static constexpr Instant never() { return {INT64_MAX}; }
};
// Nanoseconds since 1970 on a clock that may jump: for stamps that people see, and for the HLC.
struct WallTime {
  std::int64_t ns = 0;
  auto operator<=>(const WallTime&) const = default;
};

// A place in an intrusive list. Unhooks itself when destroyed. Not movable.
struct WaitNode {
  WaitNode* previous = nullptr;
  WaitNode* next = nullptr;
  const void* list = nullptr;  // the WaitList it hangs in
  std::coroutine_handle<> handle;

  WaitNode() = default;
  WaitNode(const WaitNode&) = delete;
  WaitNode& operator=(const WaitNode&) = delete;
  ~WaitNode() { unlink(); }
  bool linked() const { return previous != nullptr; }
  void unlink() {
    if (previous == nullptr) return;
    previous->next = next;
    next->previous = previous;
    previous = next = nullptr;
    list = nullptr;
  }
};

class WaitList {
 public:
  WaitList() { head_.previous = head_.next = &head_; }
  ~WaitList() {
    while (!empty()) front().unlink();
    head_.previous = head_.next = nullptr;
  }
  WaitList(const WaitList&) = delete;
  WaitList& operator=(const WaitList&) = delete;
  bool empty() const { return head_.next == &head_; }
  WaitNode& front() { return *head_.next; }
  bool holds(const WaitNode& node) const { return node.list == this; }
  void push_back(WaitNode& node) {
    CFS_CHECK(!node.linked());
    node.previous = head_.previous;
    node.next = &head_;
    head_.previous->next = &node;
    head_.previous = &node;
    node.list = this;
  }

 private:
  WaitNode head_;
};

// A timer in a frame or an object. Cancelled when destroyed.
class TimerNode {
 public:
  TimerNode() = default;
  TimerNode(const TimerNode&) = delete;
  TimerNode& operator=(const TimerNode&) = delete;
  virtual ~TimerNode() { CFS_CHECK(!armed_); }
  virtual void fire() = 0;
  Instant due{};
  std::uint64_t sequence = 0;  // owned by the executor: orders timers that are due together
  bool armed_ = false;         // owned by the executor
};

class Executor {
 public:
  virtual ~Executor() = default;
  // Puts `node` at the end of the ready queue; its handle is resumed once, soon, never inside this call.
  virtual void post(WaitNode& node) = 0;
  // Calls node.fire() once at or after node.due, unless disarmed before.
  virtual void arm(TimerNode& node) = 0;
  virtual void disarm(TimerNode& node) = 0;
  virtual Instant now() const = 0;
  virtual WallTime wall_now() const = 0;
  // From any thread (offload workers): runs `work` on this executor's thread.
  virtual void post_remote(std::function<void()> work) = 0;

  auto yield();               // co_await executor.yield(): lets the others run
  auto sleep(Duration time);  // co_await executor.sleep(5ms)
  auto sleep_until(Instant at);
};

namespace detail {
struct YieldAwaiter {
  Executor& executor;
  WaitNode node{};
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> h) {
    node.handle = h;
    executor.post(node);
  }
  void await_resume() const noexcept {}
};
struct SleepAwaiter final : TimerNode {
  Executor& executor;
  WaitNode node;
  SleepAwaiter(Executor& e, Instant at) : executor(e) { due = at; }
  ~SleepAwaiter() override {
    if (armed_) executor.disarm(*this);
  }
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> h) {
    node.handle = h;
    executor.arm(*this);
  }
  void await_resume() const noexcept {}
  void fire() override { executor.post(node); }
};
}  // namespace detail

inline auto Executor::yield() { return detail::YieldAwaiter{*this}; }
inline auto Executor::sleep_until(Instant at) { return detail::SleepAwaiter{*this, at}; }
inline auto Executor::sleep(Duration time) { return detail::SleepAwaiter{*this, now() + time}; }

}  // namespace claudefs::runtime
