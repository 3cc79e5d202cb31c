// Ranges of a split directory's entries: docs/architecture/directories.md.
#pragma once

#include <optional>
#include <string_view>

#include "meta/detail/parts.h"
#include "meta/detail/records.h"
#include "meta/shard_machine.h"

namespace claudefs::meta {

inline constexpr std::size_t kFragmentsMost = 1024;  // of one directory
// Names of one hash stay together: ranges begin where a first slot is.
inline constexpr u64 kSlots = 256;

// Nothing: a directory that is not split.
std::optional<FragmentRecord> load_fragments(const ReadContext& context, InodeId inode);
// Errc::moved when the name (what has the cookie) is not in this range of the directory.
Result<void> check_holds(const ReadContext& context, const Inode& inode, std::string_view name);
Result<void> check_holds(const ReadContext& context, const Inode& inode, u64 cookie);
FragmentContent content_of(const ReadContext& context, InodeId from, u64 first, u64 end);

// The parts of detail/parts.h that are about them: as there.
Result<std::optional<Inode>> check(const ReadContext& context, const CutEntries& part);
Result<std::optional<Inode>> check(const ReadContext& context, const MakeFragment& part);
Result<std::optional<Inode>> check(const ReadContext& context, const TakeEntries& part);
Result<std::optional<Inode>> check(const ReadContext& context, const SetFragments& part);
Result<std::optional<Inode>> check(const ReadContext& context, const SetDirectory& part);
void act(ApplyContext& context, const CutEntries& part);
void act(ApplyContext& context, const MakeFragment& part);
void act(ApplyContext& context, const TakeEntries& part);
void act(ApplyContext& context, const SetFragments& part);
void act(ApplyContext& context, const SetDirectory& part);

// The inode with its access control lists.
Newborn with_lists(const ReadContext& context, const Inode& inode);
// `before` becomes `to` (mode, owner, flags, lists), and its fragments follow.
std::vector<Part> parts_to_set(const ReadContext& context, const Inode& before, Newborn to,
                               std::optional<Time> accessed, std::optional<Time> modified, Time now);

}  // namespace claudefs::meta
