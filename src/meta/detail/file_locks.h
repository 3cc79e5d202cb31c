// The locks of fcntl, OFD and flock on files, in the replicated state.
#pragma once

#include <vector>

#include "meta/lease_operations.h"
#include "meta/shard_machine.h"

namespace claudefs::meta {

inline bool same_holder(const FileLock& a, const FileLock& b) {
  return a.session == b.session && a.owner == b.owner && a.flock == b.flock;
}
// Those of other holders that do not go together with `wanted`.
std::vector<FileLock> in_the_way(const std::vector<FileLock>& locks, const FileLock& wanted);
// The holder's bytes [start, end] become what `lock` says, or (unlock) free.
void replace_range(std::vector<FileLock>& locks, const FileLock& lock, bool unlock);

void drop_locks_of(ApplyContext& context, SessionId session);

}  // namespace claudefs::meta
