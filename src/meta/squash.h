// Root squash: a client that was mounted with it has a session whose id says so, and what it does as root,
// every shard does as nobody.
#pragma once

#include <vector>

#include "base/ids.h"

namespace claudefs::meta {

inline constexpr u64 kSquashedSession = u64{1} << 48;  // beyond what the counter of sessions reaches
inline constexpr u32 kNobody = 65534;

inline bool is_squashed(SessionId session) { return (session.value & kSquashedSession) != 0; }

// `Caller` is meta::Caller.
template <class Caller>
void squash(Caller& caller) {
  if (caller.uid == 0) caller = Caller{kNobody, kNobody, {}};
  if (caller.gid == 0) caller.gid = kNobody;
  std::erase(caller.groups, 0u);
}
template <class Caller>
void squash_in(SessionId session, Caller& caller) {
  if (is_squashed(session)) squash(caller);
}

}  // namespace claudefs::meta
