#include "meta/acl.h"

#include <algorithm>

#include "meta/detail/permission.h"

namespace claudefs::meta {
namespace {

constexpr u32 kVersion = 2;
constexpr std::size_t kHeader = 4, kEntry = 8;
constexpr u32 kNoId = UINT32_MAX;
// Tags, in the order that a list has them.
constexpr u16 kOwner = 0x01, kUser = 0x02, kOwnerGroup = 0x04, kGroup = 0x08, kMask = 0x10, kOther = 0x20;

u32 number_at(std::string_view bytes, std::size_t at, int size) {
  u32 v = 0;
  for (int i = 0; i < size; ++i) v |= u32{static_cast<u8>(bytes[at + i])} << (8 * i);
  return v;
}
void append(std::string& out, u32 v, int size) {
  for (int i = 0; i < size; ++i) out.push_back(static_cast<char>(static_cast<u8>(v >> (8 * i))));
}
bool has_id(u16 tag) { return tag == kUser || tag == kGroup; }

std::unexpected<Error> bad(const char* why) {
  return fail(Errc::invalid_argument, std::string("access control list: ") + why);
}

}  // namespace

Result<Acl> Acl::parse(std::string_view attribute) {
  Acl acl;
  if (attribute.empty()) return acl;
  if (attribute.size() < kHeader || (attribute.size() - kHeader) % kEntry != 0)
    return bad("its length is not that of whole entries");
  if (number_at(attribute, 0, 4) != kVersion)
    return fail(Errc::unsupported, "access control list: not version 2");
  for (std::size_t at = kHeader; at < attribute.size(); at += kEntry)
    acl.entries_.push_back({static_cast<u16>(number_at(attribute, at, 2)),
                            static_cast<u16>(number_at(attribute, at + 2, 2)),
                            number_at(attribute, at + 4, 4)});
  TRY(acl.check());
  return acl;
}

Result<void> Acl::check() const {
  if (entries_.empty()) return {};
  u16 last = 0;
  int owners = 0, groups = 0, others = 0, masks = 0, named = 0;
  for (const Entry& entry : entries_) {
    if (entry.permissions > 7) return bad("permissions beyond rwx");
    if (entry.tag < last) return bad("entries are not in the order of their tags");
    if (has_id(entry.tag) && entry.id == kNoId) return bad("a named entry without an id");
    last = entry.tag;
    switch (entry.tag) {
      case kOwner:
        ++owners;
        break;
      case kOwnerGroup:
        ++groups;
        break;
      case kOther:
        ++others;
        break;
      case kMask:
        ++masks;
        break;
      case kUser:
      case kGroup:
        ++named;
        break;
      default:
        return bad("an unknown tag");
    }
  }
  if (owners != 1 || groups != 1 || others != 1)
    return bad("owner, owning group and others must be there once");
  if (masks > 1 || (named != 0 && masks == 0)) return bad("named entries need one mask");
  return {};
}

std::string Acl::format() const {
  std::string out;
  append(out, kVersion, 4);
  for (const Entry& entry : entries_) {
    append(out, entry.tag, 2);
    append(out, entry.permissions, 2);
    append(out, has_id(entry.tag) ? entry.id : kNoId, 4);
  }
  return out;
}

const Acl::Entry* Acl::find(u16 tag) const {
  for (const Entry& entry : entries_)
    if (entry.tag == tag) return &entry;
  return nullptr;
}
Acl::Entry* Acl::find(u16 tag) { return const_cast<Entry*>(std::as_const(*this).find(tag)); }

u16 Acl::apply_to(u16 mode) const {
  const Entry* group = find(kMask) != nullptr ? find(kMask) : find(kOwnerGroup);
  return static_cast<u16>((mode & ~0777) | find(kOwner)->permissions << 6 | group->permissions << 3 |
                          find(kOther)->permissions);
}

void Acl::follow(u16 mode) {
  Entry* group = find(kMask) != nullptr ? find(kMask) : find(kOwnerGroup);
  find(kOwner)->permissions = mode >> 6 & 7;
  group->permissions = mode >> 3 & 7;
  find(kOther)->permissions = mode & 7;
}

u16 Acl::narrow(u16 mode) {
  follow(static_cast<u16>(apply_to(0) & mode));
  return apply_to(mode);
}

// The first class that fits decides; among groups any that allows it will do.
bool Acl::allows(const Inode& inode, const Caller& caller, Access want) const {
  const auto permits = [&](const Entry& entry) { return (entry.permissions & want) == want; };
  const Entry* mask = find(kMask);
  const auto permits_masked = [&](const Entry& entry) {
    return permits(entry) && (mask == nullptr || permits(*mask));
  };
  if (caller.uid == inode.uid) return permits(*find(kOwner));
  for (const Entry& entry : entries_)
    if (entry.tag == kUser && entry.id == caller.uid) return permits_masked(entry);
  bool in_a_group = false;
  for (const Entry& entry : entries_) {
    if (entry.tag != kOwnerGroup && entry.tag != kGroup) continue;
    if (!is_member(caller, entry.tag == kOwnerGroup ? inode.gid : entry.id)) continue;
    in_a_group = true;
    if (permits_masked(entry)) return true;
  }
  return !in_a_group && permits(*find(kOther));
}

}  // namespace claudefs::meta
