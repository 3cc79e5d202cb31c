#include "access/fuse/detail/caller_cache.h"

namespace claudefs::access::fuse::detail {
namespace {
constexpr std::size_t kKnownMax = 4096;
}  // namespace

client::Caller CallerCache::find(u32 pid, u32 uid, u32 gid) {
  // Root needs none; pid 0 is a thread of the kernel, or of another pid namespace.
  if (uid == 0 || pid == 0 || !groups_of_) return {uid, gid, {}};
  const std::tuple key(pid, uid, gid);
  const runtime::Instant now = env_.now();
  auto at = known_.find(key);
  if (at == known_.end() || now - at->second.asked >= valid_) {
    if (known_.size() >= kKnownMax) known_.clear();
    at = known_.insert_or_assign(key, Known{groups_of_(pid), now, false}).first;
  } else {
    at->second.used_again = true;
  }
  return {uid, gid, at->second.groups};
}

bool CallerCache::forget(u32 pid, u32 uid, u32 gid) {
  const auto at = known_.find(std::tuple(pid, uid, gid));
  if (at == known_.end()) return false;
  const bool was_old = at->second.used_again;
  known_.erase(at);
  return was_old;
}

}  // namespace claudefs::access::fuse::detail
