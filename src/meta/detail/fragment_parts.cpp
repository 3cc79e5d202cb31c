// The parts of transactions that move entries between a directory and its fragments, and keep them alike.
#include <algorithm>

#include "base/probe.h"
#include "meta/acl.h"
#include "meta/detail/fragments.h"
#include "meta/detail/keys.h"
#include "meta/detail/namespace.h"

namespace claudefs::meta {
namespace {

std::unexpected<Error> moved_on() { return fail(Errc::busy, "the directory's fragments changed meanwhile"); }

FragmentRecord range_of(const ReadContext& context, InodeId inode) {
  return load_fragments(context, inode).value_or(FragmentRecord{inode, 0, 0, {}});
}

bool is_boundary(u64 cookie) { return cookie % kSlots == 0; }

// All in the range, which ends at `end`.
bool fit(const std::vector<EntryRow>& entries, u64 first, u64 end) {
  return is_boundary(first) && is_boundary(end) && (end == 0 || end > first) &&
         std::ranges::all_of(entries, [&](const EntryRow& row) {
           return row.cookie >= first && (end == 0 || row.cookie < end);
         });
}

// What the entries add to (or take from) who has them.
void count(Inode& inode, const std::vector<EntryRow>& entries, int sign) {
  for (const EntryRow& row : entries) {
    if (row.dentry.name.empty()) continue;
    inode.size += static_cast<u64>(static_cast<i64>(sign));
    if (row.dentry.type == FileType::directory) inode.nlink += static_cast<u32>(sign);
  }
}

void put_list(ApplyContext& context, InodeId inode, std::string_view name, const std::string& list) {
  if (list.empty())
    context.remove(xattr_key(inode, name));
  else
    context.put(xattr_key(inode, name), list);
}

void put_entries(ApplyContext& context, InodeId directory, const std::vector<EntryRow>& entries) {
  for (const EntryRow& row : entries) context.store(dentry_key(directory, row.cookie), row.dentry);
}

}  // namespace

Result<std::optional<Inode>> check(const ReadContext& context, const CutEntries& part) {
  TRY_ASSIGN(const Inode inode, load_directory(context, part.from));
  const FragmentRecord range = range_of(context, part.from);
  const bool whole = part.first == range.first;
  if (part.end != range.end || part.first < range.first || !is_boundary(part.first)) return moved_on();
  if (whole && !is_fragment(inode)) return moved_on();
  if (part.if_empty && inode.size != 0) return fail(Errc::not_empty);
  return std::nullopt;
}

Result<std::optional<Inode>> check(const ReadContext& context, const MakeFragment& part) {
  if (context.get(inode_key(part.born.inode.id))) return fail(Errc::exists);
  if (!is_fragment(part.born.inode) || !fit(part.entries, part.first, part.end))
    return fail(Errc::invalid_argument, "not a fragment of a directory");
  return std::nullopt;
}

Result<std::optional<Inode>> check(const ReadContext& context, const TakeEntries& part) {
  TRY(load_directory(context, part.into));
  if (!fit(part.content.entries, part.first, part.end))
    return fail(Errc::invalid_argument, "entries outside of their range");
  if (range_of(context, part.into).end != part.first || part.first == 0) return moved_on();
  return std::nullopt;
}

Result<std::optional<Inode>> check(const ReadContext& context, const SetFragments& part) {
  TRY_ASSIGN(const Inode inode, load_directory(context, part.directory));
  if (is_fragment(inode) || range_of(context, part.directory).map != part.before) return moved_on();
  if (part.after.size() > kFragmentsMost)
    return fail(Errc::overloaded, "a directory has 1024 fragments at most");
  return std::nullopt;
}

Result<std::optional<Inode>> check(const ReadContext& context, const SetDirectory& part) {
  constexpr u32 kLists = kHasAccessAcl | kHasDefaultAcl | kHasCapability;
  const Inode& to = part.to.inode;
  TRY_ASSIGN(Inode inode, load_directory(context, to.id));
  if (part.if_changed && *part.if_changed != inode.changed) return moved_on();
  inode.mode = to.mode;
  inode.uid = to.uid;
  inode.gid = to.gid;
  inode.flags = (inode.flags & ~kLists) | (to.flags & kLists);
  if (part.accessed) inode.accessed = *part.accessed;
  if (part.modified) inode.modified = *part.modified;
  inode.changed = std::max(inode.changed, to.changed);
  return inode;
}

void act(ApplyContext& context, const CutEntries& part) {
  Inode inode = *load_directory(context, part.from);
  FragmentRecord range = range_of(context, part.from);
  const std::vector<EntryRow> entries = content_of(context, part.from, part.first, part.end).entries;
  for (const EntryRow& row : entries) context.remove(dentry_key(part.from, row.cookie));
  if (part.first == range.first) {
    CFS_PROBE(meta_fragment_gone, "a fragment of a directory goes");
    context.remove(fragments_key(part.from));
    put_list(context, part.from, kAccessAcl, {});
    put_list(context, part.from, kDefaultAcl, {});
    remove_inode(context, inode);
    return;
  }
  count(inode, entries, -1);
  store_inode(context, inode);
  if (!is_fragment(inode)) return;  // SetFragments
  range.end = part.first;
  context.store(fragments_key(part.from), range);
}

void act(ApplyContext& context, const MakeFragment& part) {
  CFS_PROBE(meta_fragment_made, "a directory gets another fragment");
  Inode inode = part.born.inode;
  inode.size = 0;
  inode.nlink = 2;
  count(inode, part.entries, 1);
  store_inode(context, inode);
  put_list(context, inode.id, kAccessAcl, part.born.access_acl);
  put_list(context, inode.id, kDefaultAcl, part.born.default_acl);
  put_entries(context, inode.id, part.entries);
  context.store(fragments_key(inode.id), FragmentRecord{inode.parent, part.first, part.end, {}});
}

void act(ApplyContext& context, const TakeEntries& part) {
  Inode inode = *load_directory(context, part.into);
  count(inode, part.content.entries, 1);
  inode.modified = std::max(inode.modified, part.content.like.inode.modified);
  inode.changed = std::max(inode.changed, part.content.like.inode.changed);
  store_inode(context, inode);
  put_entries(context, part.into, part.content.entries);
  if (!is_fragment(inode)) return;  // SetFragments
  FragmentRecord range = range_of(context, part.into);
  range.end = part.end;
  context.store(fragments_key(part.into), range);
}

void act(ApplyContext& context, const SetFragments& part) {
  Inode inode = *load_directory(context, part.directory);
  inode.flags &= ~u32{kIsSplit};
  if (part.after.empty()) {
    CFS_PROBE(meta_directory_whole_again, "a split directory is whole again");
    context.remove(fragments_key(part.directory));
  } else {
    inode.flags |= kIsSplit;
    const FragmentRecord record{part.directory, 0, part.after.front().first, part.after};
    context.store(fragments_key(part.directory), record);
  }
  store_inode(context, inode);
}

void act(ApplyContext& context, const SetDirectory& part) {
  const Inode inode = **check(context, part);
  store_inode(context, inode);
  put_list(context, inode.id, kAccessAcl, part.to.access_acl);
  put_list(context, inode.id, kDefaultAcl, part.to.default_acl);
  if ((inode.flags & kHasCapability) == 0) context.remove(xattr_key(inode.id, kCapability));
}

}  // namespace claudefs::meta
