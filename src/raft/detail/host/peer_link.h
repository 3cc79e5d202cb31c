// Messages to one node, in two lanes: small ones (heartbeats, votes, answers) do not wait behind entries.
// What gathers in one turn leaves as one call, so heartbeats of all groups are one call per interval.
// A queue above its limit drops its oldest messages: Raft sends again what is still wanted.
#pragma once

#include <deque>
#include <string>

#include "net/rpc.h"
#include "raft/detail/host/wire_messages.h"
#include "runtime/scope.h"

namespace claudefs::raft {

class PeerLink {
 public:
  struct Limits {
    std::size_t queue_bytes = 16_MiB;
    runtime::Duration timeout{1'000'000'000};
    u64 boot = 0;
  };
  // `scope` and `client` must outlive the link and its calls.
  PeerLink(runtime::Scope& scope, net::Client& client, std::string address, Limits limits)
      : scope_(scope), client_(client), address_(std::move(address)), limits_(limits) {}
  void queue(Message message);
  // The next flush sends something in any case. `pace`: of this node, goes along from now on.
  void beat(u32 pace) {
    beat_due_ = true;
    pace_ = pace;
  }
  // Sends what is queued, as far as the calls in flight allow; the rest follows when they end.
  void flush();
  u64 dropped() const { return urgent_.dropped + bulk_.dropped; }
  void set_address(const std::string& address) {
    if (address_ != address) address_ = address;
  }

 private:
  struct Lane {
    std::deque<Message> waiting;
    std::size_t bytes = 0;
    std::size_t calls = 0;
    u64 dropped = 0;
  };
  void flush_lane(Lane& lane);
  void send_beat();
  RaftMessages batch() const { return {.messages = {}, .boot = limits_.boot, .pace = pace_}; }
  bool wants_answer(const RaftMessages& batch, std::size_t bytes);
  runtime::Task<void> call(Lane& lane, RaftMessages batch, bool answered);

  runtime::Scope& scope_;
  net::Client& client_;
  std::string address_;
  const Limits limits_;
  Lane urgent_, bulk_;
  bool beat_due_ = false;
  u32 pace_ = 0;
  u32 unanswered_ = 0;
};

}  // namespace claudefs::raft
