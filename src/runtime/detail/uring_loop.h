// The event loop: one io_uring, one ready queue, one set of timers, one mailbox for other threads.
//
// Create, run and destroy it on one thread. Everything an iteration submits goes to the kernel in one
// system call, the same one that waits; an idle loop sleeps in it until the next timer.
//
// An Operation lives in the frame that awaits it. When that frame is destroyed with the operation still
// in the kernel, the destructor cancels it and waits for the kernel to let go: buffers, iovecs and paths
// of the frame may be freed at once afterwards. Socket and pipe operations cancel immediately; a disk
// operation that has started is waited for.
#pragma once

#include <liburing.h>

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/ids.h"
#include "runtime/scope.h"

namespace claudefs::runtime::detail {

class UringLoop;

// One request in the kernel. `result` is what the system call would give: a count, or -errno.
class Operation {
 public:
  Operation() = default;
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;
  ~Operation();
  bool in_flight() const { return in_ != nullptr; }

  int result = 0;
  WaitNode node;

 protected:
  bool polls_first_ = false;  // a linked poll, tagged as the companion, precedes it

 private:
  friend class UringLoop;
  UringLoop* in_ = nullptr;  // while in flight
  Operation* previous_ = nullptr;
  Operation* next_ = nullptr;
};

class UringLoop final : public Executor {
 public:
  static Result<std::unique_ptr<UringLoop>> create(unsigned queue_entries);
  // Cancels what is still in flight and waits for it; nothing is resumed any more.
  ~UringLoop() override;

  void post(WaitNode& node) override { ready_.push_back(node); }
  void arm(TimerNode& node) override;
  void disarm(TimerNode& node) override;
  Instant now() const override;
  WallTime wall_now() const override;
  void post_remote(std::function<void()> work) override;

  void run_until(const bool& done);

  // const int result = co_await loop.submit([&](io_uring_sqe* sqe) { io_uring_prep_...(sqe, ...); });
  // `prepare` is called once, at once. What the sqe points to must live in the awaiting frame.
  // submit(...).within(5s) gives -ECANCELED when it takes longer; submit(...).when(fd, POLLIN) starts
  // only when the descriptor is ready.
  template <class Prepare>
  auto submit(Prepare prepare);
  // Asks the kernel to end `operation` early: it completes with -ECANCELED, or as it would have.
  void cancel(Operation& operation);

 private:
  friend class Operation;
  template <class Prepare>
  friend class Submission;

  UringLoop() { background_.emplace(*this); }
  io_uring_sqe* next_sqe() { return io_uring_get_sqe(&ring_); }
  void reserve_sqes(unsigned count);  // in one batch, so that links stay together
  void track(Operation& operation, io_uring_sqe* sqe);
  void tag_companion(Operation& operation, io_uring_sqe* sqe);
  void forget(Operation& operation);
  void abandon(Operation& operation);
  void fire_due_timers();
  void run_ready();
  void enter();
  void reap();
  void take_remote();
  Task<void> watch_mailbox();

  io_uring ring_{};
  bool ring_open_ = false;
  int mailbox_signal_ = -1;  // eventfd: the mailbox is no longer empty
  std::mutex mailbox_lock_;
  std::vector<std::function<void()>> mailbox_;

  WaitList ready_;
  std::map<std::pair<Instant, u64>, TimerNode*> timers_;
  u64 timer_sequence_ = 0;
  Operation* in_flight_ = nullptr;
  std::optional<Scope> background_;
};

template <class Prepare>
class Submission : public Operation {
 public:
  Submission(UringLoop& loop, Prepare prepare) : loop_(loop), prepare_(std::move(prepare)) {}
  Submission& within(Duration limit) {
    limit_ = {.tv_sec = limit.count() / 1'000'000'000, .tv_nsec = limit.count() % 1'000'000'000};
    limited_ = true;
    return *this;
  }
  Submission& when(int descriptor, unsigned events) {
    poll_descriptor_ = descriptor;
    poll_events_ = events;
    return *this;
  }
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> h) {
    node.handle = h;
    loop_.reserve_sqes(3);
    if (poll_descriptor_ >= 0) {
      io_uring_sqe* poll = loop_.next_sqe();
      io_uring_prep_poll_add(poll, poll_descriptor_, poll_events_);
      poll->flags |= IOSQE_IO_LINK;
      loop_.tag_companion(*this, poll);
      polls_first_ = true;
    }
    io_uring_sqe* sqe = loop_.next_sqe();
    prepare_(sqe);
    loop_.track(*this, sqe);
    if (limited_) {
      sqe->flags |= IOSQE_IO_LINK;
      io_uring_sqe* timeout = loop_.next_sqe();
      io_uring_prep_link_timeout(timeout, &limit_, 0);
      loop_.tag_companion(*this, timeout);
    }
  }
  int await_resume() const noexcept { return result; }

 private:
  UringLoop& loop_;
  Prepare prepare_;
  __kernel_timespec limit_{};
  bool limited_ = false;
  int poll_descriptor_ = -1;
  unsigned poll_events_ = 0;
};

template <class Prepare>
auto UringLoop::submit(Prepare prepare) {
  return Submission<Prepare>(*this, std::move(prepare));
}

}  // namespace claudefs::runtime::detail
