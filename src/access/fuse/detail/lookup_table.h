// How often the kernel was told of each inode: it keeps one until it has forgotten as many. And what it was
// told of the inode's access control lists, so that "has it one?" costs no question to a server.
#pragma once

#include <map>
#include <optional>

#include "base/ids.h"
#include "runtime/env.h"

namespace claudefs::access::fuse::detail {

class LookupTable {
 public:
  void add(InodeId inode) { ++known_[inode].count; }
  // True when the kernel no longer holds it. More forgets than lookups are taken as all of them.
  bool forget(InodeId inode, u64 count) {
    auto at = known_.find(inode);
    if (at == known_.end()) return false;
    if (at->second.count > count) {
      at->second.count -= count;
      return false;
    }
    known_.erase(at);
    return true;
  }
  std::size_t size() const { return known_.size(); }
  u64 count_of(InodeId inode) const {
    auto at = known_.find(inode);
    return at == known_.end() ? 0 : at->second.count;
  }

  // meta::InodeFlag as last told, good until `until`. Only of inodes that the kernel holds.
  void note_flags(InodeId inode, u32 flags, runtime::Instant until) {
    auto at = known_.find(inode);
    if (at == known_.end()) return;
    at->second.flags = flags;
    at->second.flags_until = until;
  }
  void forget_flags(InodeId inode) { note_flags(inode, 0, runtime::Instant{}); }
  std::optional<u32> flags_of(InodeId inode, runtime::Instant now) const {
    auto at = known_.find(inode);
    if (at == known_.end() || now >= at->second.flags_until) return std::nullopt;
    return at->second.flags;
  }

 private:
  struct Known {
    u64 count = 0;
    u32 flags = 0;
    runtime::Instant flags_until{};
  };
  std::map<InodeId, Known> known_;
};

}  // namespace claudefs::access::fuse::detail
