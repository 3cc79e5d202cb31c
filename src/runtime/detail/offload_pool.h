// Worker threads for CPU-heavy or blocking work. A destroyed frame takes its queued work back, or waits
// for it when it already runs: the work may use what the frame owns.
#pragma once

#include <condition_variable>
#include <list>
#include <mutex>
#include <thread>
#include <vector>

#include "runtime/env.h"

namespace claudefs::runtime::detail {

class OffloadPool final : public Offload {
 public:
  // At least one thread is started. Destroy it before `executor`; no work may be left then.
  OffloadPool(Executor& executor, unsigned threads);
  ~OffloadPool() override;
  Task<void> run(std::function<void()> work) override;

 private:
  struct Job;
  void work_loop();
  void take_back(Job& job);
  void deliver();

  Executor& executor_;
  std::mutex lock_;
  std::condition_variable work_arrived_;
  std::condition_variable work_ended_;
  std::list<Job*> queued_;
  std::list<Job*> finished_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace claudefs::runtime::detail
