// Arithmetic on hybrid logical clock stamps: milliseconds (48 bits) . counter (16 bits).
#pragma once

#include "meta/types.h"
#include "runtime/executor.h"

namespace claudefs::data {

inline meta::Hlc later(meta::Hlc at, runtime::Duration by) {
  return meta::Hlc{at.value + (static_cast<u64>(std::chrono::duration_cast<std::chrono::milliseconds>(by).count())
                               << 16)};
}
inline meta::Hlc hlc_of(runtime::WallTime at) {
  return meta::Hlc{static_cast<u64>(at.ns < 0 ? 0 : at.ns / 1'000'000) << 16};
}

// How long what was promised holds. A commit carries the end of the shortest promise it relies on.
inline constexpr runtime::Duration kPinTime = std::chrono::minutes(10);       // a pinned chunk stays
inline constexpr runtime::Duration kPinUse = std::chrono::minutes(5);         // commits may rely on a pin
inline constexpr runtime::Duration kGrantUse = std::chrono::minutes(3);       // commits may rely on new chunks,
                                                                              // from the grant of their segment
inline constexpr runtime::Duration kGrantAbandoned = std::chrono::minutes(10);  // granted, never sealed
inline constexpr runtime::Duration kOrphanGrace = std::chrono::hours(1);      // sealed, never referred to
inline constexpr runtime::Duration kChunkGrace = std::chrono::seconds(60);    // a chunk at zero references
inline constexpr runtime::Duration kSegmentGrace = std::chrono::seconds(30);  // a segment at zero live bytes

}  // namespace claudefs::data
