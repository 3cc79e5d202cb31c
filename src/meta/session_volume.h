// The volume that a session is bound to is a part of its id, as the squashing of root is (meta/squash.h):
// every shard knows it, and no request can say otherwise.
#pragma once

#include "base/ids.h"

namespace claudefs::meta {

// That a cluster can ever make: ids of volumes are not used twice.
inline constexpr u32 kVolumesMost = (u32{1} << 23) - 1;

// Bits 40 to 47 and 49 to 63, around the one of squash.h. The counter of sessions stays below.
constexpr u64 session_bits_of(VolumeId volume) {
  return u64{volume.value & 0xff} << 40 | u64{volume.value >> 8} << 49;
}
// 0: bound to none. Those of servers and of administration.
constexpr VolumeId volume_of(SessionId session) {
  return VolumeId{static_cast<u32>((session.value >> 40 & 0xff) | session.value >> 49 << 8)};
}

}  // namespace claudefs::meta
