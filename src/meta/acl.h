// POSIX access control lists, in the form that Linux' extended attributes system.posix_acl_* have: u32
// version 2, then entries of (u16 tag, u16 permissions, u32 id), all little-endian, in the order of their
// tags and ids. Pure; the rules are those of POSIX 1003.1e draft 17 as Linux has them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "meta/operations.h"

namespace claudefs::meta {

inline constexpr std::string_view kAccessAcl = "system.posix_acl_access";
inline constexpr std::string_view kDefaultAcl = "system.posix_acl_default";
inline constexpr std::string_view kCapability = "security.capability";

class Acl {
 public:
  // Errors: invalid_argument, unsupported (another version). An empty list is a list with no entries.
  static Result<Acl> parse(std::string_view attribute);
  std::string format() const;

  bool empty() const { return entries_.empty(); }
  // Says no more than nine mode bits can.
  bool is_minimal() const { return entries_.size() == 3; }
  // `mode` with the nine bits that the list stands for.
  u16 apply_to(u16 mode) const;
  // chmod: the list follows the mode.
  void follow(u16 mode);
  // As a default list, for an inode that is made with `mode`: each keeps what both allow. Gives the mode.
  u16 narrow(u16 mode);
  bool allows(const Inode& inode, const Caller& caller, Access want) const;

 private:
  struct Entry {
    u16 tag = 0;
    u16 permissions = 0;
    u32 id = 0;
  };
  Result<void> check() const;
  Entry* find(u16 tag);
  const Entry* find(u16 tag) const;
  std::vector<Entry> entries_;
};

}  // namespace claudefs::meta
