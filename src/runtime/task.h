// Coroutines: Task<T> is a lazy, move-only, single-owner coroutine with symmetric transfer.
//
// - A Task runs only when awaited (or spawned on a Scope: scope.h). Destroying a Task destroys its frame
//   and, with it, every frame it awaits; all awaiters of this folder unhook themselves when destroyed.
// - In a coroutine that returns Task<Result<U>>, `co_await` of a Task<Result<T>> or a Result<T> gives the T;
//   a failure ends the awaiting coroutine with that error. The exit is quiet: the locals of the ended
//   coroutine live until its owner destroys it (normally the end of the awaiting full expression).
//   `co_await std::move(task).result()` (or task.result() on a temporary) gives the Result itself.
// - In any other coroutine `co_await` of a Task<Result<T>> gives the Result<T>.
// - Parameters by value, unless the callee is awaited in the same full expression by somebody who owns
//   the argument. No capturing coroutine lambdas.
// - g++: do not put a braced initialiser list into the same full expression as co_await.
// Exceptions do not cross a coroutine: one that escapes terminates the process.
#pragma once

#include <coroutine>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include "base/check.h"
#include "base/result.h"

namespace claudefs::runtime {

template <class T>
class Task;

template <class T>
inline constexpr bool is_result = false;
template <class T>
inline constexpr bool is_result<Result<T>> = true;

namespace detail {

struct PromiseBase {
  std::coroutine_handle<> continuation = std::noop_coroutine();
  // The awaiting promise, when an error of this one shall end it.
  PromiseBase* propagate_to = nullptr;

  virtual Error* error() noexcept { return nullptr; }
  virtual void set_error(Error) noexcept { CFS_CHECK(!"a plain task cannot carry an error"); }

  // This coroutine has its result: who runs next?
  std::coroutine_handle<> finish() noexcept {
    PromiseBase* at = this;
    while (at->propagate_to != nullptr) {
      Error* e = at->error();
      if (e == nullptr) break;
      PromiseBase* up = at->propagate_to;
      up->set_error(std::move(*e));
      at = up;
    }
    return at->continuation;
  }

  std::suspend_always initial_suspend() noexcept { return {}; }
  struct FinalAwaiter {
    bool await_ready() noexcept { return false; }
    template <class P>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<P> self) noexcept {
      return self.promise().finish();
    }
    void await_resume() noexcept {}
  };
  FinalAwaiter final_suspend() noexcept { return {}; }
  void unhandled_exception() noexcept { std::terminate(); }

 protected:
  ~PromiseBase() = default;
};

template <class T>
struct Promise;

// Ends the awaiting coroutine when `result` has failed; otherwise gives its value.
template <class U, class T>
struct ResultAwaiter {
  Result<T> result;
  bool await_ready() const noexcept { return result.has_value(); }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise<U>> parent) noexcept {
    parent.promise().set_error(std::move(result.error()));
    return parent.promise().finish();
  }
  T await_resume() {
    if constexpr (!std::is_void_v<T>) return std::move(*result);
  }
};

template <class T, bool kPropagate>
struct TaskAwaiter {
  std::coroutine_handle<Promise<T>> child;
  bool await_ready() const noexcept { return false; }
  template <class P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> parent) noexcept {
    child.promise().continuation = parent;
    if constexpr (kPropagate) child.promise().propagate_to = &parent.promise();
    return child;
  }
  auto await_resume() {
    if constexpr (kPropagate) {
      auto result = std::move(child.promise()).take();
      if constexpr (!std::is_void_v<typename decltype(result)::value_type>) return std::move(*result);
    } else {
      return std::move(child.promise()).take();
    }
  }
};

// g++ 12 copies an awaiter that await_transform hands on by reference: it gets this instead.
template <class A>
struct AwaiterReference {
  A& awaiter;
  bool await_ready() { return awaiter.await_ready(); }
  template <class P>
  decltype(auto) await_suspend(std::coroutine_handle<P> handle) {
    return awaiter.await_suspend(handle);
  }
  decltype(auto) await_resume() { return awaiter.await_resume(); }
};

template <class T>
struct PromiseResult : PromiseBase {
  std::optional<T> value;
  template <class V>
    requires std::is_constructible_v<T, V&&>
  void return_value(V&& v) {
    value.emplace(std::forward<V>(v));
  }
  void return_value(T v) { value.emplace(std::move(v)); }
  T take() && {
    CFS_CHECK(value.has_value());
    return std::move(*value);
  }
};
template <>
struct PromiseResult<void> : PromiseBase {
  void return_void() noexcept {}
  void take() && {}
};
template <class V>
struct PromiseResult<Result<V>> : PromiseBase {
  std::optional<Result<V>> value;
  template <class X>
    requires std::is_constructible_v<Result<V>, X&&>
  void return_value(X&& x) {
    value.emplace(std::forward<X>(x));
  }
  void return_value(Result<V> v) { value.emplace(std::move(v)); }
  Result<V> take() && {
    CFS_CHECK(value.has_value());
    return std::move(*value);
  }
  Error* error() noexcept override {
    return value.has_value() && !value->has_value() ? &value->error() : nullptr;
  }
  void set_error(Error e) noexcept override { value.emplace(fail(std::move(e))); }
};

template <class T>
struct Promise final : PromiseResult<T> {
  Task<T> get_return_object() noexcept;
  template <class A>
  decltype(auto) await_transform(A&& awaitable) noexcept {
    using Plain = std::remove_cvref_t<A>;
    if constexpr (is_result<Plain> && is_result<T>) {
      return ResultAwaiter<T, typename Plain::value_type>{std::forward<A>(awaitable)};
    } else if constexpr (requires { typename Plain::task_value; }) {
      using V = typename Plain::task_value;
      static_assert(!std::is_lvalue_reference_v<A>, "await a task once: std::move it");
      return TaskAwaiter<V, is_result<V> && is_result<T>>{awaitable.handle()};
    } else if constexpr (requires { awaitable.await_ready(); }) {
      return AwaiterReference<std::remove_reference_t<A>>{awaitable};
    } else {
      return std::forward<A>(awaitable);
    }
  }
};

}  // namespace detail

// The wrapper that asks for the Result itself: co_await task.result().
template <class T>
struct RawTask;

template <class T = void>
class [[nodiscard]] Task {
 public:
  using promise_type = detail::Promise<T>;
  using task_value = T;

  Task() = default;
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      reset();
      handle_ = std::exchange(other.handle_, {});
    }
    return *this;
  }
  ~Task() { reset(); }

  explicit operator bool() const { return static_cast<bool>(handle_); }
  std::coroutine_handle<promise_type> handle() const { return handle_; }

  // Awaits without propagation: gives the Result. Keeps the frame alive until the expression ends.
  auto result() && {
    static_assert(is_result<T>, "result() is for Task<Result<...>>");
    return RawTask<T>{std::move(*this)};
  }
  auto result() & = delete;

 private:
  friend promise_type;
  explicit Task(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  void reset() {
    if (handle_) std::exchange(handle_, {}).destroy();
  }
  std::coroutine_handle<promise_type> handle_;
};

template <class T>
struct RawTask {
  Task<T> task;
  auto operator co_await() && { return detail::TaskAwaiter<T, false>{task.handle()}; }
};

template <class T>
Task<T> detail::Promise<T>::get_return_object() noexcept {
  return Task<T>(std::coroutine_handle<Promise>::from_promise(*this));
}

}  // namespace claudefs::runtime
