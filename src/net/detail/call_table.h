// The calls of one connection that wait for an answer. A call lives in the caller's frame and leaves the
// table when that frame goes.
#pragma once

#include <vector>

#include "net/rpc.h"
#include "runtime/sync.h"

namespace claudefs::net::detail {

class CallTable;

class PendingCall {
 public:
  PendingCall(runtime::Executor& executor, CallTable& table);
  ~PendingCall();
  PendingCall(const PendingCall&) = delete;
  PendingCall& operator=(const PendingCall&) = delete;

  u64 id() const { return id_; }
  bool done() const { return answer_.has_value(); }
  void finish(Result<Reply> answer) {
    if (answer_) return;
    answer_.emplace(std::move(answer));
    changed.notify_one();
  }
  Result<Reply> take() { return std::move(*answer_); }

  bool sent = false;  // it is in the queue: the peer may come to see it
  runtime::Condition changed;

 private:
  friend class CallTable;
  CallTable& table_;
  u64 id_ = 0;
  std::optional<Result<Reply>> answer_;
};

// Must outlive its calls.
class CallTable {
 public:
  std::size_t size() const { return used_; }
  PendingCall* find(u64 id) {
    const std::size_t slot = id & 0xffffffffu;
    if (slot >= slots_.size() || slots_[slot].call == nullptr || slots_[slot].call->id() != id)
      return nullptr;
    return slots_[slot].call;
  }
  template <class F>
  void for_each(F f) {
    for (Slot& slot : slots_)
      if (slot.call != nullptr) f(*slot.call);
  }

 private:
  friend class PendingCall;
  struct Slot {
    PendingCall* call = nullptr;
    u32 use = 0;
  };
  u64 add(PendingCall& call) {
    if (free_.empty()) {
      free_.push_back(static_cast<u32>(slots_.size()));
      slots_.emplace_back();
    }
    const u32 at = free_.back();
    free_.pop_back();
    slots_[at].call = &call;
    ++used_;
    return (u64{++slots_[at].use} << 32) | at;
  }
  void remove(u64 id) {
    const u32 at = static_cast<u32>(id);
    slots_[at].call = nullptr;
    free_.push_back(at);
    --used_;
  }
  std::vector<Slot> slots_;
  std::vector<u32> free_;
  std::size_t used_ = 0;
};

inline PendingCall::PendingCall(runtime::Executor& executor, CallTable& table)
    : changed(executor), table_(table) {
  id_ = table_.add(*this);
}
inline PendingCall::~PendingCall() { table_.remove(id_); }

}  // namespace claudefs::net::detail
