#include "runtime/scope.h"

namespace claudefs::runtime {

// The root frame of a spawned task: unlinks and frees itself at its end.
struct Scope::RootPromise {
  Scope* scope;
  RootPromise* previous = nullptr;
  RootPromise* next = nullptr;

  RootPromise(Scope* s, Task<void>&) : scope(s) {}
  Root get_return_object();
  std::coroutine_handle<RootPromise> self() {
    return std::coroutine_handle<RootPromise>::from_promise(*this);
  }
  void link() {
    next = scope->first_;
    if (next != nullptr) next->previous = this;
    scope->first_ = this;
    ++scope->running_;
  }
  void unlink() {
    (previous != nullptr ? previous->next : scope->first_) = next;
    if (next != nullptr) next->previous = previous;
    --scope->running_;
  }

  std::suspend_always initial_suspend() noexcept { return {}; }
  struct Final {
    bool await_ready() noexcept { return false; }
    void await_suspend(std::coroutine_handle<RootPromise> h) noexcept {
      Scope* scope = h.promise().scope;
      h.promise().unlink();
      h.destroy();
      if (scope->running_ == 0) scope->empty_.notify_all();
    }
    void await_resume() noexcept {}
  };
  Final final_suspend() noexcept { return {}; }
  void return_void() {}
  void unhandled_exception() noexcept { std::terminate(); }
  auto await_transform(Task<void>&& inner) { return detail::TaskAwaiter<void, false>{inner.handle()}; }
};

struct Scope::Root {
  using promise_type = RootPromise;
  std::coroutine_handle<RootPromise> handle;
  static Root run(Scope* /*read by the promise*/, Task<void> task) { co_await std::move(task); }
};

Scope::Root Scope::RootPromise::get_return_object() { return {self()}; }

void Scope::spawn(Task<void> task) {
  if (!accepting_) return;
  Root root = Root::run(this, std::move(task));
  root.handle.promise().link();
  root.handle.resume();
}

Task<void> Scope::join() {
  while (running_ != 0) co_await empty_.wait();
}

Scope::~Scope() {
  while (first_ != nullptr) {
    RootPromise* promise = first_;
    promise->unlink();
    promise->self().destroy();
  }
}

Task<void> join_all(Executor& executor, std::vector<Task<void>> tasks) {
  Scope scope(executor);
  for (auto& task : tasks) scope.spawn(std::move(task));
  co_await scope.join();
}

}  // namespace claudefs::runtime
