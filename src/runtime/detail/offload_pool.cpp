#include "runtime/detail/offload_pool.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>

namespace claudefs::runtime::detail {

// Lives in the awaiting frame; all fields but `node` are guarded by the pool's lock once it is queued.
struct OffloadPool::Job {
  enum class State { fresh, queued, running, finished, delivered };
  OffloadPool& pool;
  std::function<void()> work;
  State state = State::fresh;
  WaitNode node{};

  Job(OffloadPool& p, std::function<void()> w) : pool(p), work(std::move(w)) {}
  ~Job() { pool.take_back(*this); }
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> h) {
    node.handle = h;
    std::lock_guard lock(pool.lock_);
    state = State::queued;
    pool.queued_.push_back(this);
    pool.work_arrived_.notify_one();
  }
  void await_resume() const noexcept {}
};

OffloadPool::OffloadPool(Executor& executor, unsigned threads) : executor_(executor) {
  // Signals belong to the thread of the reactor: a worker inherits a mask that lets none in.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  for (unsigned i = 0; i < std::max(threads, 1u); ++i) threads_.emplace_back([this] { work_loop(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

OffloadPool::~OffloadPool() {
  {
    std::lock_guard lock(lock_);
    CFS_CHECK(queued_.empty());
    stopping_ = true;
    work_arrived_.notify_all();
  }
  for (std::thread& thread : threads_) thread.join();
}

Task<void> OffloadPool::run(std::function<void()> work) { co_await Job(*this, std::move(work)); }

void OffloadPool::work_loop() {
  std::unique_lock lock(lock_);
  for (;;) {
    work_arrived_.wait(lock, [this] { return stopping_ || !queued_.empty(); });
    if (stopping_) return;
    Job& job = *queued_.front();
    queued_.pop_front();
    job.state = Job::State::running;
    lock.unlock();
    job.work();
    lock.lock();
    job.state = Job::State::finished;
    const bool first = finished_.empty();
    finished_.push_back(&job);
    work_ended_.notify_all();
    if (first) executor_.post_remote([this] { deliver(); });
  }
}

void OffloadPool::deliver() {
  std::lock_guard lock(lock_);
  for (Job* job : finished_) {
    job->state = Job::State::delivered;
    executor_.post(job->node);
  }
  finished_.clear();
}

void OffloadPool::take_back(Job& job) {
  std::unique_lock lock(lock_);
  if (job.state == Job::State::queued) queued_.remove(&job);
  work_ended_.wait(lock, [&] { return job.state != Job::State::running; });
  if (job.state == Job::State::finished) finished_.remove(&job);
}

}  // namespace claudefs::runtime::detail
