// Background work yields: at full speed while no client moves data through this node, at a stated rate while
// one does.
#pragma once

#include "runtime/env.h"
#include "runtime/scope.h"

namespace claudefs::data {

class Throttle {
 public:
  explicit Throttle(runtime::Env& env) : env_(env) {}
  static constexpr u64 kBusyRate = 48_MiB;  // bytes a second
  static constexpr u64 kIdleRate = 2_GiB;
  static constexpr runtime::Duration kBusyFor = std::chrono::milliseconds(300);

  // A client's call moved bytes.
  void note_foreground() { foreground_at_ = env_.now(); }
  bool busy() const { return env_.now() - foreground_at_ < kBusyFor; }
  // Before background work on so many bytes: returns when it is its turn.
  runtime::Task<void> pay(u64 bytes) {
    const u64 rate = busy() ? kBusyRate : kIdleRate;
    const runtime::Duration cost(static_cast<i64>(bytes * 1'000'000'000 / rate));
    const runtime::Instant begin = std::max(env_.now(), next_);
    next_ = begin + cost;
    if (begin > env_.now()) co_await env_.executor().sleep(begin - env_.now());
  }

 private:
  runtime::Env& env_;
  runtime::Instant foreground_at_{INT64_MIN / 2};
  runtime::Instant next_{INT64_MIN / 2};
};

// Bytes a second over the last while.
class RateMeter {
 public:
  explicit RateMeter(runtime::Env& env) : env_(&env) {}
  void add(u64 bytes) {
    turn();
    current_ += bytes;
    total_ += bytes;
  }
  u64 total() const { return total_; }
  u64 per_second() {
    turn();
    const i64 ns = kWindow.count() + (env_->now() - began_).count();
    return static_cast<u64>(static_cast<double>(former_ + current_) * 1e9 / static_cast<double>(ns));
  }

 private:
  static constexpr runtime::Duration kWindow = std::chrono::seconds(5);
  void turn() {
    if (env_->now() - began_ < kWindow) return;
    former_ = env_->now() - began_ < 2 * kWindow ? current_ : 0;
    current_ = 0;
    began_ = env_->now();
  }
  runtime::Env* env_;
  runtime::Instant began_{INT64_MIN / 2};
  u64 former_ = 0, current_ = 0, total_ = 0;
};

}  // namespace claudefs::data
