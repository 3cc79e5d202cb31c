#include "meta/detail/fragments.h"

#include <algorithm>

#include "base/mutant.h"
#include "base/probe.h"
#include "meta/acl.h"
#include "meta/detail/keys.h"
#include "meta/detail/namespace.h"
#include "meta/names.h"

namespace claudefs::meta {

CFS_DEFINE_MUTANT(meta_fragment_answers_for_others,
                  "meta: a fragment answers for names that are in another range");
CFS_DEFINE_MUTANT(meta_fragment_keeps_old_rights, "meta: chmod of a split directory reaches no fragment");

std::optional<FragmentRecord> load_fragments(const ReadContext& context, InodeId inode) {
  return context.load<FragmentRecord>(fragments_key(inode));
}

Result<void> check_holds(const ReadContext& context, const Inode& inode, u64 cookie) {
  if ((inode.flags & (kIsSplit | kIsFragment)) == 0) return {};
  const std::optional<FragmentRecord> record = load_fragments(context, inode.id);
  if (!record || record->holds(cookie) || CFS_MUTANT(meta_fragment_answers_for_others)) return {};
  CFS_PROBE(meta_fragment_asked_in_vain, "a name is asked for where it is not, or is no more");
  return fail(Errc::moved, fmt::format("it is in another fragment of directory {:#x}", directory_of(inode)));
}

Result<void> check_holds(const ReadContext& context, const Inode& inode, std::string_view name) {
  return check_holds(context, inode, cookie_of(name));
}

FragmentContent content_of(const ReadContext& context, InodeId from, u64 first, u64 end) {
  FragmentContent out;
  const std::optional<Inode> inode = context.load<Inode>(inode_key(from));
  if (!inode) return out;
  out.like = with_lists(context, *inode);
  const std::string prefix = dentries_key(from);
  context.scan(prefix, dentry_key(from, first), [&](std::string_view key, std::string_view value) {
    const u64 cookie = number_in(key, prefix.size());
    if (end != 0 && cookie >= end) return false;
    Result<Dentry> dentry = wire::decode<Dentry>(as_bytes(value));
    CFS_CHECK(dentry.has_value());
    out.entries.push_back({cookie, std::move(*dentry)});
    return true;
  });
  return out;
}

Newborn with_lists(const ReadContext& context, const Inode& inode) {
  Newborn out{inode, {}, {}};
  if ((inode.flags & kHasAccessAcl) != 0)
    out.access_acl = context.get(xattr_key(inode.id, kAccessAcl)).value_or("");
  if ((inode.flags & kHasDefaultAcl) != 0)
    out.default_acl = context.get(xattr_key(inode.id, kDefaultAcl)).value_or("");
  return out;
}

std::vector<Part> parts_to_set(const ReadContext& context, const Inode& before, Newborn to,
                               std::optional<Time> accessed, std::optional<Time> modified, Time now) {
  // Later than what it was: whoever plans another change meanwhile sees that this one came first.
  Time later = before.changed;
  if (++later.nanoseconds == 1'000'000'000) later = {later.seconds + 1, 0};
  to.inode.changed = std::max(now, later);
  std::vector<Part> parts;
  const std::optional<FragmentRecord> record = load_fragments(context, before.id);
  if (record && !CFS_MUTANT(meta_fragment_keeps_old_rights)) {
    for (const Fragment& fragment : record->map) {
      SetDirectory copy{to, accessed, modified, std::nullopt};
      copy.to.inode.id = fragment.inode;
      parts.push_back(std::move(copy));
    }
  }
  parts.push_back(SetDirectory{std::move(to), accessed, modified, before.changed});
  return parts;
}

}  // namespace claudefs::meta
