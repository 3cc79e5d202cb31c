// Who holds which lock, as the clients were told: never two that exclude each other.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "simulator/content_oracle.h"

namespace claudefs::simulator {

class LockOracle {
 public:
  struct Held {
    InodeId file{};
    bool flock = false;
    bool exclusive = false;
    u64 start = 0, end = 0;  // inclusive
    Process by;
  };
  // Told so at `at`. `number` is the lock's.
  void granted(u64 number, const Held& lock, Instant at);
  void released(u64 number) { held_.erase(number); }  // about to be
  // It died or lost a session: the servers took its locks, it may not have known.
  void lost(Process by);
  // Once it is known who died and lost sessions.
  std::optional<std::string> judge_suspicions();

 private:
  struct Suspicion {
    Process one, other;
    std::string text;
  };
  std::map<u64, Held> held_;
  std::set<Process> lost_;
  std::vector<Suspicion> suspicions_;
};

}  // namespace claudefs::simulator
