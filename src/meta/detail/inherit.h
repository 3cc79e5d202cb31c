// What a new inode takes from its directory and its maker: owner, group, mode, access control lists.
#pragma once

#include <string>

#include "meta/operations.h"

namespace claudefs::meta {

class ReadContext;
class ApplyContext;

// An inode on its way into a shard, perhaps another than its directory's.
struct Newborn {
  Inode inode;
  std::string access_acl;   // empty: none
  std::string default_acl;  // empty: none
  static auto fields(auto& self) { return std::tie(self.inode, self.access_acl, self.default_acl); }
};

// `newborn.inode` has its type and the mode that was asked for. `context` is that of the parent's shard.
void inherit(const ReadContext& context, Newborn& newborn, const Inode& parent, const Caller& caller,
             u16 umask);
void store_newborn(ApplyContext& context, const Newborn& newborn);

}  // namespace claudefs::meta
