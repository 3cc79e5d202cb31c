// Who waits for whose lock, over all shards: kept by the leader of shard 0 to find circles.
#pragma once

#include <map>
#include <set>

#include "meta/lease_operations.h"
#include "runtime/executor.h"

namespace claudefs::meta {

class LockWaits {
 public:
  static constexpr runtime::Duration kEdgeLives{3'000'000'000};

  // True when `waiter` now waits for itself.
  bool wait(const LockOwner& waiter, std::vector<LockOwner> holders, runtime::Instant now) {
    std::erase_if(waiting_, [&](const auto& entry) { return entry.second.until <= now; });
    if (holders.empty()) {
      waiting_.erase(waiter);
      return false;
    }
    waiting_[waiter] = {std::move(holders), now + kEdgeLives};
    std::set<LockOwner> seen;
    return reaches(waiter, waiter, seen);
  }

 private:
  struct Wait {
    std::vector<LockOwner> holders;
    runtime::Instant until;
  };
  bool reaches(const LockOwner& from, const LockOwner& to, std::set<LockOwner>& seen) const {
    const auto at = waiting_.find(from);
    if (at == waiting_.end() || !seen.insert(from).second) return false;
    for (const LockOwner& holder : at->second.holders)
      if (holder == to || reaches(holder, to, seen)) return true;
    return false;
  }
  std::map<LockOwner, Wait> waiting_;
};

}  // namespace claudefs::meta
