#include "client/detail/extent_cache.h"

#include <algorithm>

namespace claudefs::client {

void ExtentCache::reset(u64 version) {
  version_ = version;
  extents_.clear();
  known_.clear();
}

void ExtentCache::learn(u64 offset, u64 end, std::vector<meta::Extent> extents) {
  for (meta::Extent& extent : extents) {
    const u64 at = extent.offset;
    extents_.insert_or_assign(at, std::move(extent));
  }
  if (offset >= end) return;
  auto at = known_.upper_bound(offset);
  if (at != known_.begin() && std::prev(at)->second >= offset) --at;
  while (at != known_.end() && at->first <= end) {
    offset = std::min(offset, at->first);
    end = std::max(end, at->second);
    at = known_.erase(at);
  }
  known_[offset] = end;
}

std::optional<u64> ExtentCache::first_unknown(u64 offset, u64 end) const {
  if (offset >= end) return std::nullopt;
  auto at = known_.upper_bound(offset);
  if (at == known_.begin() || std::prev(at)->second <= offset) return offset;
  const u64 reached = std::prev(at)->second;
  return reached >= end ? std::nullopt : std::optional<u64>(reached);
}

std::vector<meta::Extent> ExtentCache::in(u64 offset, u64 end) const {
  std::vector<meta::Extent> out;
  auto at = extents_.upper_bound(offset);
  if (at != extents_.begin()) --at;
  for (; at != extents_.end() && at->first < end; ++at)
    if (at->first + at->second.length > offset) out.push_back(at->second);
  return out;
}

}  // namespace claudefs::client
