// How often the kernel was told of each inode: it keeps one until it has forgotten as many.
#pragma once

#include <map>

#include "base/ids.h"

namespace claudefs::access::fuse::detail {

class LookupTable {
 public:
  void add(InodeId inode) { ++counts_[inode]; }
  // True when the kernel no longer holds it. More forgets than lookups are taken as all of them.
  bool forget(InodeId inode, u64 count) {
    auto at = counts_.find(inode);
    if (at == counts_.end()) return false;
    if (at->second > count) {
      at->second -= count;
      return false;
    }
    counts_.erase(at);
    return true;
  }
  std::size_t size() const { return counts_.size(); }
  u64 count_of(InodeId inode) const {
    auto at = counts_.find(inode);
    return at == counts_.end() ? 0 : at->second;
  }

 private:
  std::map<InodeId, u64> counts_;
};

}  // namespace claudefs::access::fuse::detail
