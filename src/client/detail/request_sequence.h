// Numbers the session's mutations, and knows below which number all have been answered.
#pragma once

#include <set>
#include <utility>

#include "cluster/shard_call.h"

namespace claudefs::client {

class RequestSequence {
 public:
  class [[nodiscard]] Number {
   public:
    Number(RequestSequence& of, u64 value) : of_(of), value_(value) {}
    ~Number() { of_.outstanding_.erase(value_); }
    Number(const Number&) = delete;
    Number& operator=(const Number&) = delete;
    cluster::RequestId id(SessionId session) const {
      return cluster::RequestId{session, value_, *of_.outstanding_.begin()};
    }

   private:
    RequestSequence& of_;
    u64 value_;
  };
  Number next() {
    outstanding_.insert(++last_);
    return Number(*this, last_);
  }

 private:
  u64 last_ = 0;
  std::set<u64> outstanding_;
};

}  // namespace claudefs::client
