#include "runtime/detail/uring_loop.h"

#include <fmt/format.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace claudefs::runtime::detail {
namespace {

// The low bit of user_data marks a companion (linked poll or timeout); 0 marks what nobody waits for.
constexpr u64 kCompanion = 1;
u64 tag_of(const Operation& operation) { return reinterpret_cast<u64>(&operation); }

std::int64_t read_clock(clockid_t clock) {
  timespec at{};
  clock_gettime(clock, &at);
  return at.tv_sec * 1'000'000'000LL + at.tv_nsec;
}

int open_ring(unsigned entries, io_uring& ring) {
  // What the running kernel does not know makes the call fail with EINVAL: ask for less each time.
  constexpr unsigned kWishes[] = {
      IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN,
      IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, IORING_SETUP_COOP_TASKRUN, 0};
  int status = -EINVAL;
  for (const unsigned wish : kWishes) {
    status = io_uring_queue_init(entries, &ring, wish | IORING_SETUP_CLAMP);
    if (status != -EINVAL) break;
  }
  return status;
}

}  // namespace

Operation::~Operation() {
  if (in_ != nullptr) in_->abandon(*this);
}

Result<std::unique_ptr<UringLoop>> UringLoop::create(unsigned queue_entries) {
  std::unique_ptr<UringLoop> loop(new UringLoop);
  if (const int status = open_ring(queue_entries, loop->ring_); status < 0) {
    return fail(
        Errc::io_error,
        fmt::format("the kernel refuses io_uring ({}); allow it with 'sysctl kernel.io_uring_disabled=0', "
                    "in the container's seccomp profile, or by a larger memlock limit",
                    std::strerror(-status)));
  }
  loop->ring_open_ = true;
  loop->mailbox_signal_ = ::eventfd(0, EFD_CLOEXEC);
  if (loop->mailbox_signal_ < 0) return fail_errno(errno, "create an eventfd for the event loop");
  loop->background_->spawn(loop->watch_mailbox());
  return loop;
}

UringLoop::~UringLoop() {
  background_.reset();  // its read of the eventfd is cancelled while the ring is there
  while (in_flight_ != nullptr) abandon(*in_flight_);
  if (ring_open_) io_uring_queue_exit(&ring_);
  if (mailbox_signal_ >= 0) ::close(mailbox_signal_);
}

void UringLoop::arm(TimerNode& node) {
  CFS_CHECK(!node.armed_);
  node.armed_ = true;
  node.sequence = ++timer_sequence_;
  timers_.emplace(std::pair(node.due, node.sequence), &node);
}

void UringLoop::disarm(TimerNode& node) {
  if (!node.armed_) return;
  node.armed_ = false;
  timers_.erase({node.due, node.sequence});
}

Instant UringLoop::now() const { return {read_clock(CLOCK_BOOTTIME)}; }
WallTime UringLoop::wall_now() const { return {read_clock(CLOCK_REALTIME)}; }

void UringLoop::post_remote(std::function<void()> work) {
  bool was_empty = false;
  {
    std::lock_guard lock(mailbox_lock_);
    was_empty = mailbox_.empty();
    mailbox_.push_back(std::move(work));
  }
  if (!was_empty) return;  // whoever found it empty has signalled, or is about to
  const u64 one = 1;
  CFS_CHECK(::write(mailbox_signal_, &one, sizeof one) == sizeof one);
}

Task<void> UringLoop::watch_mailbox() {
  for (;;) {
    u64 count = 0;
    const int got = co_await submit(
        [&](io_uring_sqe* sqe) { io_uring_prep_read(sqe, mailbox_signal_, &count, sizeof count, 0); });
    if (got > 0) take_remote();
    CFS_CHECK(got > 0 || got == -EINTR || got == -EAGAIN || got == -ECANCELED);
  }
}

void UringLoop::take_remote() {
  std::vector<std::function<void()>> work;
  {
    std::lock_guard lock(mailbox_lock_);
    work.swap(mailbox_);
  }
  for (auto& item : work) item();
}

void UringLoop::reserve_sqes(unsigned count) {
  while (io_uring_sq_space_left(&ring_) < count) {
    const int status = io_uring_submit(&ring_);
    CFS_CHECK(status >= 0 || status == -EBUSY || status == -EAGAIN || status == -EINTR);
    if (status < 0) reap();  // completions have no room: take them out first
  }
}

void UringLoop::track(Operation& operation, io_uring_sqe* sqe) {
  io_uring_sqe_set_data64(sqe, tag_of(operation));
  operation.in_ = this;
  operation.previous_ = nullptr;
  operation.next_ = in_flight_;
  if (in_flight_ != nullptr) in_flight_->previous_ = &operation;
  in_flight_ = &operation;
}

void UringLoop::tag_companion(Operation& operation, io_uring_sqe* sqe) {
  io_uring_sqe_set_data64(sqe, tag_of(operation) | kCompanion);
}

void UringLoop::forget(Operation& operation) {
  (operation.previous_ != nullptr ? operation.previous_->next_ : in_flight_) = operation.next_;
  if (operation.next_ != nullptr) operation.next_->previous_ = operation.previous_;
  operation.in_ = nullptr;
}

void UringLoop::cancel(Operation& operation) {
  if (!operation.in_flight()) return;
  reserve_sqes(2);
  io_uring_sqe* sqe = next_sqe();
  io_uring_prep_cancel64(sqe, tag_of(operation), 0);
  io_uring_sqe_set_data64(sqe, 0);
  if (!operation.polls_first_) return;
  sqe = next_sqe();
  io_uring_prep_cancel64(sqe, tag_of(operation) | kCompanion, 0);
  io_uring_sqe_set_data64(sqe, 0);
}

void UringLoop::abandon(Operation& operation) {
  cancel(operation);
  while (operation.in_flight()) {
    const int status = io_uring_submit_and_wait(&ring_, 1);
    CFS_CHECK(status >= 0 || status == -EBUSY || status == -EAGAIN || status == -EINTR);
    reap();
  }
}

void UringLoop::fire_due_timers() {
  if (timers_.empty()) return;
  const Instant at = now();
  while (!timers_.empty() && timers_.begin()->first.first <= at) {
    TimerNode& node = *timers_.begin()->second;
    timers_.erase(timers_.begin());
    node.armed_ = false;
    node.fire();
  }
}

void UringLoop::run_ready() {
  // A bounded number of rounds, so that coroutines that keep yielding do not starve the kernel's side.
  constexpr int kRounds = 16;
  for (int round = 0; round < kRounds && !ready_.empty(); ++round) {
    WaitNode end;
    ready_.push_back(end);
    while (&ready_.front() != &end) {
      WaitNode& node = ready_.front();
      node.unlink();
      node.handle.resume();
    }
  }
}

void UringLoop::enter() {
  // The kernel measures the wait on a clock that stops in suspend, so a long wait is cut into pieces.
  constexpr Duration kLongest = 60s;
  Duration wait = ready_.empty() ? kLongest : 0s;
  if (wait > 0s && !timers_.empty())
    wait = std::clamp<Duration>(timers_.begin()->first.first - now(), 0s, wait);
  int status = 0;
  if (wait == 0s) {
    status = io_uring_submit_and_get_events(&ring_);
  } else {
    __kernel_timespec limit{.tv_sec = wait.count() / 1'000'000'000, .tv_nsec = wait.count() % 1'000'000'000};
    io_uring_cqe* first = nullptr;
    status = io_uring_submit_and_wait_timeout(&ring_, &first, 1, &limit, nullptr);
  }
  CFS_CHECK(status >= 0 || status == -ETIME || status == -EINTR || status == -EBUSY || status == -EAGAIN);
}

void UringLoop::reap() {
  unsigned head = 0, count = 0;
  io_uring_cqe* cqe = nullptr;
  io_uring_for_each_cqe(&ring_, head, cqe) {
    ++count;
    const u64 tag = io_uring_cqe_get_data64(cqe);
    if (tag == 0 || (tag & kCompanion) != 0) continue;
    Operation& operation = *reinterpret_cast<Operation*>(tag);
    operation.result = cqe->res;
    forget(operation);
    post(operation.node);
  }
  io_uring_cq_advance(&ring_, count);
}

void UringLoop::run_until(const bool& done) {
  while (!done) {
    fire_due_timers();
    run_ready();
    if (done) return;
    enter();
    reap();
  }
}

}  // namespace claudefs::runtime::detail
