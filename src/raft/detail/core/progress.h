// What a leader knows about one follower, and how much it may send: flow control.
#pragma once

#include <cstddef>
#include <deque>

#include "raft/types.h"
#include "runtime/executor.h"

namespace claudefs::raft {

struct Progress {
  enum class State : u8 {
    probe,      // one append at a time, until one matches
    replicate,  // pipelined, within the window
    snapshot,   // its next entry is gone here: nothing until the snapshot is in
  };
  State state = State::probe;
  LogIndex match{};              // durable there
  LogIndex acknowledged_most{};  // what it said to be durable, whatever it says now
  LogIndex next{};               // the next entry to send
  u64 stamp = 0;                 // the newest stamp it echoed
  u64 quiet = 0;                 // the newest stamp at which it fell silent
  LogIndex commit_sent{};
  bool paused = false;          // probe: an answer is awaited
  bool fetching = false;        // the host is reading entries for it
  runtime::Instant moved_at{};  // when match last grew or the window was empty: finds lost appends

  struct InFlight {
    LogIndex last;
    std::size_t bytes;
  };
  std::deque<InFlight> in_flight;
  std::size_t in_flight_bytes = 0;

  void begin_probe() {
    state = State::probe;
    next = LogIndex{match.value + 1};
    paused = false;
    fetching = false;
    forget_window();
  }
  void begin_snapshot() {
    state = State::snapshot;
    fetching = false;
    forget_window();
  }
  void sent(LogIndex last, std::size_t bytes) {
    in_flight.push_back({last, bytes});
    in_flight_bytes += bytes;
  }
  void acknowledged(LogIndex upto) {
    while (!in_flight.empty() && in_flight.front().last <= upto) {
      in_flight_bytes -= in_flight.front().bytes;
      in_flight.pop_front();
    }
  }
  void forget_window() {
    in_flight.clear();
    in_flight_bytes = 0;
  }
};

}  // namespace claudefs::raft
