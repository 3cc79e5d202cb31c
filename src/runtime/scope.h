// Owns background tasks: no orphan coroutines.
//
// spawn() starts a task now (it runs until its first suspension inside the call) and keeps its frame;
// a finished task frees itself. stop_accepting() refuses further spawns; join() waits for all to end.
// The destructor destroys what still runs: that is a crash in the simulator; in production, join first.
#pragma once

#include <coroutine>
#include <cstddef>
#include <vector>

#include "runtime/sync.h"
#include "runtime/task.h"

namespace claudefs::runtime {

class Scope {
 public:
  explicit Scope(Executor& executor) : executor_(executor), empty_(executor) {}
  ~Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

  void spawn(Task<void> task);
  void stop_accepting() { accepting_ = false; }
  bool accepting() const { return accepting_; }
  std::size_t running() const { return running_; }
  Task<void> join();
  Executor& executor() { return executor_; }

 private:
  struct Root;
  struct RootPromise;
  Executor& executor_;
  Condition empty_;
  RootPromise* first_ = nullptr;
  std::size_t running_ = 0;
  bool accepting_ = true;
};

// Runs all tasks together, gives their values in order.
template <class T>
Task<std::vector<T>> join_all(Executor& executor, std::vector<Task<T>> tasks);
Task<void> join_all(Executor& executor, std::vector<Task<void>> tasks);

namespace detail {
template <class T>
Task<void> store_into(Task<T> task, std::optional<T>& slot, std::size_t& left, Event& done) {
  slot.emplace(co_await std::move(task));
  if (--left == 0) done.set();
}
}  // namespace detail

template <class T>
Task<std::vector<T>> join_all(Executor& executor, std::vector<Task<T>> tasks) {
  std::vector<std::optional<T>> slots(tasks.size());
  std::size_t left = tasks.size();
  Event done(executor);
  Scope scope(executor);
  for (std::size_t i = 0; i < tasks.size(); ++i)
    scope.spawn(detail::store_into<T>(std::move(tasks[i]), slots[i], left, done));
  if (left != 0) co_await done.wait();
  std::vector<T> values;
  values.reserve(slots.size());
  for (auto& slot : slots) values.push_back(std::move(*slot));
  co_return values;
}

}  // namespace claudefs::runtime
