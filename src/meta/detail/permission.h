// What a caller may do with an inode: mode bits, access control lists, the sticky bit. Whatever the client's
// kernel has checked, the shard checks again. uid 0 may do everything; a squashed client has none.
#pragma once

#include <optional>
#include <string_view>

#include "meta/operations.h"
#include "meta/shard_machine.h"

namespace claudefs::meta {

inline bool is_root(const Caller& caller) { return caller.uid == 0; }
bool is_member(const Caller& caller, u32 group);
inline bool is_owner(const Caller& caller, const Inode& inode) {
  return is_root(caller) || caller.uid == inode.uid;
}

Result<void> check_access(const ReadContext& context, const Inode& inode, const Caller& caller, Access want);
// The directory, when the caller may search it, and change its entries if `change`. Errors: stale,
// not_directory, access_denied.
Result<Inode> open_directory(const ReadContext& context, InodeId id, const Caller& caller, bool change);
// Who must own what is removed from or moved out of `directory`, when its sticky bit asks for that.
std::optional<u32> sticky_owner(const Inode& directory, const Caller& caller);
Result<void> check_owner(const Inode& inode, const std::optional<u32>& owner);

Result<void> check_xattr_read(const ReadContext& context, const Inode& inode, const Caller& caller,
                              std::string_view name);
Result<void> check_xattr_change(const ReadContext& context, const Inode& inode, const Caller& caller,
                                std::string_view name);
Result<void> check_xattr_removal(const ReadContext& context, const Inode& inode, const Caller& caller,
                                 std::string_view name);

}  // namespace claudefs::meta
