#include "simulator/lock_oracle.h"

#include <utility>

#include <fmt/format.h>

namespace claudefs::simulator {

void LockOracle::granted(u64 number, const Held& lock, Instant at) {
  for (const auto& [other_number, other] : held_) {
    const bool excludes = other.file == lock.file && other.flock == lock.flock &&
                          (other.exclusive || lock.exclusive) && other.start <= lock.end &&
                          lock.start <= other.end;
    if (!excludes) continue;
    suspicions_.push_back(
        {lock.by, other.by,
         fmt::format("file {:#x}: lock {} was granted to client {} life {} at {} ns, while client {} life {} "
                     "holds lock {}",
                     lock.file, number, lock.by.client, lock.by.life, at.ns, other.by.client, other.by.life,
                     other_number)});
  }
  held_[number] = lock;
}

void LockOracle::lost(Process by) {
  lost_.insert(by);
  std::erase_if(held_, [&](const auto& entry) { return entry.second.by == by; });
}

std::optional<std::string> LockOracle::judge_suspicions() {
  for (const Suspicion& one : std::exchange(suspicions_, {}))
    if (!lost_.contains(one.one) && !lost_.contains(one.other)) return one.text;
  return std::nullopt;
}

}  // namespace claudefs::simulator
