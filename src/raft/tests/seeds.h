// How many random seeds a test tries.
#pragma once

#include <algorithm>
#include <cstdlib>

#include "base/ids.h"

namespace claudefs::raft::testing {

// CFS_RAFT_SEEDS=1200 is the whole search, for a release build (./check runs it); without it a twelfth of
// that, for a build with sanitizers.
inline u64 seeds(u64 of_1200) {
  const char* wanted = std::getenv("CFS_RAFT_SEEDS");
  const u64 scale = wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 100;
  return std::max<u64>(1, of_1200 * scale / 1200);
}

}  // namespace claudefs::raft::testing
