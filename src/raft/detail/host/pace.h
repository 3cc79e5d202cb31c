// How slow this node is: how long its log takes to make something durable, or how late its turns come,
// whichever is longer. Medians of the last few times, so that one stall says nothing. Has no clock.
#pragma once

#include <algorithm>
#include <array>

#include "runtime/executor.h"

namespace claudefs::raft {

class Pace {
 public:
  void write_began(runtime::Instant now) {
    began_ = now;
    writing_ = true;
  }
  void write_ended(runtime::Instant now) {
    writing_ = false;
    ended_ = now;
    writes_.add(now - began_);
  }
  void turn_came(runtime::Duration late) { delays_.add(late); }
  // 0: not known, as nothing was written lately. A write that hangs counts before it ends.
  u32 microseconds(runtime::Instant now) const {
    if (writing_ && now - began_ >= kHangs) return in_microseconds(now - began_);
    if (!writes_.is_full() || now - ended_ >= kCountsFor) return 0;
    return in_microseconds(std::max(writes_.median(), delays_.median()));
  }

 private:
  static constexpr runtime::Duration kHangs{1'000'000'000};
  static constexpr runtime::Duration kCountsFor{60'000'000'000};
  static u32 in_microseconds(runtime::Duration time) {
    return static_cast<u32>(std::clamp<i64>(time.count() / 1000, 1, UINT32_MAX));
  }
  class Window {
   public:
    void add(runtime::Duration time) { times_[count_++ % times_.size()] = time; }
    bool is_full() const { return count_ >= times_.size(); }
    runtime::Duration median() const {
      auto sorted = times_;
      std::sort(sorted.begin(), sorted.end());
      return sorted[sorted.size() / 2];
    }

   private:
    std::array<runtime::Duration, 7> times_{};
    u64 count_ = 0;
  };
  Window writes_, delays_;
  bool writing_ = false;
  runtime::Instant began_{}, ended_{};
};

}  // namespace claudefs::raft
