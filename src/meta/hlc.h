// Arithmetic on hybrid logical clock stamps.
#pragma once

#include <algorithm>

#include "meta/types.h"
#include "runtime/executor.h"

namespace claudefs::meta {

inline constexpr int kHlcCounterBits = 16;

inline Hlc hlc_of(runtime::WallTime at) {
  return Hlc{static_cast<u64>(std::max<i64>(at.ns, 0) / 1'000'000) << kHlcCounterBits};
}
inline Hlc hlc_after(Hlc at, u64 milliseconds) { return Hlc{at.value + (milliseconds << kHlcCounterBits)}; }
inline Hlc hlc_before(Hlc at, u64 milliseconds) {
  const u64 span = milliseconds << kHlcCounterBits;
  return Hlc{at.value > span ? at.value - span : 0};
}
inline Time time_of(Hlc at) {
  const u64 milliseconds = at.value >> kHlcCounterBits;
  // The counter goes into the nanoseconds, so that two changes in one millisecond differ.
  const u64 counter = at.value & ((u64{1} << kHlcCounterBits) - 1);
  return Time{static_cast<i64>(milliseconds / 1000),
              static_cast<u32>(milliseconds % 1000 * 1'000'000 + counter)};
}

}  // namespace claudefs::meta
