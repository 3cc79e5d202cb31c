// The time limits that the chunk index, the segment table and their users agree on.
#pragma once

#include "meta/hlc.h"

namespace claudefs::data {

using meta::hlc_of;
inline meta::Hlc later(meta::Hlc at, runtime::Duration by) {
  return meta::hlc_after(at,
                         static_cast<u64>(std::chrono::duration_cast<std::chrono::milliseconds>(by).count()));
}

// How long what was promised holds. A commit carries the end of the shortest promise it relies on.
inline constexpr runtime::Duration kPinTime = std::chrono::minutes(10);  // a pinned chunk stays
inline constexpr runtime::Duration kPinUse = std::chrono::minutes(5);    // commits may rely on a pin
inline constexpr runtime::Duration kGrantUse = std::chrono::minutes(3);  // commits may rely on new chunks,
                                                                         // from the grant of their segment
inline constexpr runtime::Duration kGrantAbandoned = std::chrono::minutes(10);  // granted, never sealed
// For the comfort of readers that hold a file's extents of a moment ago; who comes later asks for them anew.
inline constexpr runtime::Duration kChunkGrace = std::chrono::seconds(5);    // a chunk at zero references
inline constexpr runtime::Duration kSegmentGrace = std::chrono::seconds(2);  // a segment at zero live bytes

}  // namespace claudefs::data
