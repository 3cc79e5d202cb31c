// How dirty bytes become extents: small ones inline, streams cut where their content says, the rest as they
// are. Pure, and heavy on the CPU: for the offload pool when there is much.
#pragma once

#include <vector>

#include "base/buffer.h"
#include "base/ids.h"

namespace claudefs::client {

struct FlushRun {
  u64 offset = 0;
  Buffer bytes;
  bool goes_on = false;  // a stream that is still being written: keep what follows its last cut
};
struct PlannedExtent {
  u64 offset = 0;
  Buffer bytes;
  bool in_metadata = false;  // inline, instead of a chunk
};
struct FlushPlan {
  std::vector<PlannedExtent> extents;  // ascending
  std::vector<PlannedExtent> kept;     // not to be written yet
};

inline constexpr u64 kChunkLeast = 4 << 10;
inline constexpr u64 kInlineTotalMax = 64 << 10;  // of one flush, beyond what is too small for a chunk

FlushPlan plan_flush(const std::vector<FlushRun>& runs);

}  // namespace claudefs::client
