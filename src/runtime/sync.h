// Waiting between coroutines of one executor. No threads, no locks: every wake-up goes through the
// executor's ready queue, so nothing runs inside notify(). All are neither copyable nor movable.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <utility>

#include "base/result.h"
#include "runtime/executor.h"
#include "runtime/task.h"

namespace claudefs::runtime {

// Condition: co_await condition.wait() until somebody notifies; or wait_until(deadline), which gives
// false when the deadline came first. Spurious wake-ups do not happen; re-check your predicate all the same.
class Condition {
 public:
  explicit Condition(Executor& executor) : executor_(executor) {}
  void notify_one() {
    if (waiting_.empty()) return;
    WaitNode& node = waiting_.front();
    node.unlink();
    executor_.post(node);
  }
  void notify_all() {
    while (!waiting_.empty()) notify_one();
  }
  bool has_waiters() const { return !waiting_.empty(); }

  struct Awaiter final : TimerNode {
    Condition& condition;
    WaitNode node;
    bool notified = true;
    Awaiter(Condition& c, Instant deadline) : condition(c) { due = deadline; }
    ~Awaiter() override {
      if (armed_) condition.executor_.disarm(*this);
    }
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> h) {
      node.handle = h;
      condition.waiting_.push_back(node);
      if (due != Instant::never()) condition.executor_.arm(*this);
    }
    bool await_resume() noexcept {
      if (armed_) condition.executor_.disarm(*this);
      return notified;
    }
    void fire() override {
      // A notify that came first has moved the node to the ready queue: then the timer changes nothing.
      if (!condition.waiting_.holds(node)) return;
      notified = false;
      node.unlink();
      condition.executor_.post(node);
    }
  };
  Awaiter wait() { return Awaiter(*this, Instant::never()); }
  Awaiter wait_until(Instant deadline) { return Awaiter(*this, deadline); }

 private:
  friend struct Awaiter;
  Executor& executor_;
  WaitList waiting_;
};

// A flag that is set once. Waiters pass at once when it is set.
class Event {
 public:
  explicit Event(Executor& executor) : condition_(executor) {}
  void set() {
    set_ = true;
    condition_.notify_all();
  }
  bool is_set() const { return set_; }
  Task<void> wait() {
    while (!set_) co_await condition_.wait();
  }
  // False when the deadline came first.
  Task<bool> wait_until(Instant deadline) {
    while (!set_)
      if (!co_await condition_.wait_until(deadline)) co_return set_;
    co_return true;
  }

 private:
  Condition condition_;
  bool set_ = false;
};

// Counts permits. `acquire` is first come, first served.
class Semaphore {
 public:
  Semaphore(Executor& executor, std::size_t permits) : executor_(executor), free_(permits) {}
  class [[nodiscard]] Permit {
   public:
    Permit() = default;
    explicit Permit(Semaphore* of, std::size_t count) : of_(of), count_(count) {}
    Permit(Permit&& other) noexcept : of_(std::exchange(other.of_, nullptr)), count_(other.count_) {}
    Permit& operator=(Permit&& other) noexcept {
      if (this != &other) {
        release();
        of_ = std::exchange(other.of_, nullptr);
        count_ = other.count_;
      }
      return *this;
    }
    ~Permit() { release(); }
    void release() {
      if (of_ != nullptr) std::exchange(of_, nullptr)->give_back(count_);
    }

   private:
    Semaphore* of_ = nullptr;
    std::size_t count_ = 0;
  };
  Task<Permit> acquire(std::size_t count = 1) { co_return co_await Turn(*this, count); }
  std::size_t free_permits() const { return free_; }

 private:
  // A place in the queue. A frame that is destroyed while it waits leaves the queue, and gives back what it
  // had been granted but not yet seen.
  struct Turn : WaitNode {
    Semaphore& of;
    std::size_t count;
    bool granted = false;
    Turn(Semaphore& semaphore, std::size_t n) : of(semaphore), count(n) {}
    ~Turn() {
      if (granted) {
        of.give_back(count);
      } else if (linked()) {
        unlink();
        of.grant();
      }
    }
    bool await_ready() noexcept {
      if (!of.waiting_.empty() || of.free_ < count) return false;
      of.free_ -= count;
      granted = true;
      return true;
    }
    void await_suspend(std::coroutine_handle<> h) {
      handle = h;
      of.waiting_.push_back(*this);
    }
    Permit await_resume() {
      granted = false;  // the Permit's from here
      return Permit(&of, count);
    }
  };
  void give_back(std::size_t count) {
    free_ += count;
    grant();
  }
  void grant() {
    while (!waiting_.empty()) {
      Turn& next = static_cast<Turn&>(waiting_.front());
      if (next.count > free_) return;
      free_ -= next.count;
      next.granted = true;
      next.unlink();
      executor_.post(next);
    }
  }
  Executor& executor_;
  std::size_t free_;
  WaitList waiting_;
};

// One holder at a time: auto lock = co_await mutex.lock();
class Mutex {
 public:
  explicit Mutex(Executor& executor) : semaphore_(executor, 1) {}
  using Guard = Semaphore::Permit;
  Task<Guard> lock() { return semaphore_.acquire(); }

 private:
  Semaphore semaphore_;
};

// A value that arrives once, for one waiter.
template <class T>
class Promised {
 public:
  explicit Promised(Executor& executor) : event_(executor) {}
  void set(T value) {
    if (value_.has_value()) return;  // first wins
    value_.emplace(std::move(value));
    event_.set();
  }
  bool is_set() const { return value_.has_value(); }
  Task<T> wait() {
    co_await event_.wait();
    co_return std::move(*value_);
  }
  // Empty when the deadline came first.
  Task<std::optional<T>> wait_until(Instant deadline) {
    if (!co_await event_.wait_until(deadline)) co_return std::nullopt;
    co_return std::move(*value_);
  }

 private:
  Event event_;
  std::optional<T> value_;
};

}  // namespace claudefs::runtime
