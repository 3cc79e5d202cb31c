#include "client/trash.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "meta/hlc.h"

namespace claudefs::client {

using runtime::Task;

namespace {

constexpr u64 kClocksDiffer = 600'000;  // milliseconds, of two nodes
constexpr u32 kDeepest = 4096;          // directories; a path has 4096 bytes

std::string joined(const std::string& directory, const std::string& name) { return directory + "/" + name; }

std::string parent_of(const std::string& path) { return path.substr(0, path.rfind('/')); }
std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// The path of the root is "": what is below it begins with "/".
std::string normal(std::string path) {
  while (!path.empty() && path.back() == '/') path.pop_back();
  return path;
}
bool is_below(const std::string& path, const std::string& directory) {
  return path.size() > directory.size() && path.starts_with(directory) && path[directory.size()] == '/';
}

}  // namespace

Task<Result<void>> Trash::read_rows() {
  for (u16 shard = 0; shard < files_.shard_count(); ++shard) {
    meta::TrashPlace after;
    for (bool end = false; !end;) {
      meta::ListTrashReply page = co_await files_.list_trash(ShardId{shard}, after, caller_);
      for (Row& row : page.rows) rows_.push_back(std::move(row));
      after = page.next;
      end = page.end;
    }
  }
  for (const Row& row : rows_)
    if (row.inode.type == FileType::directory) removed_directories_[{row.inode.id, row.removed}] = &row;
  co_return Result<void>();
}

// The names of directories in a living one.
Task<Result<void>> Trash::read_names(InodeId directory) {
  const HandleId handle = co_await files_.open_directory(directory, {});
  Result<void> outcome;
  for (u64 cookie = 0;;) {
    const Result<DirectoryPage> page = co_await files_.read_directory(handle, cookie, false).result();
    if (!page) outcome = fail(page.error());
    if (!page || page->entries.empty()) break;
    for (const DirectoryEntry& entry : page->entries)
      if (entry.type == FileType::directory) names_[entry.inode] = entry.name;
    cookie = page->entries.back().cookie;
  }
  files_.release_directory(handle);
  co_return outcome;
}

Task<Trash::Place> Trash::place_of_living(InodeId directory) {
  if (directory == files_.volume().root) co_return Place{};
  if (const auto known = living_.find(directory); known != living_.end()) co_return known->second;
  Place place{fmt::format("?{:x}", directory), false};
  const Result<Inode> inode = co_await files_.get_attributes(directory).result();
  if (inode && inode->type == FileType::directory) {
    if (!names_.contains(directory)) (void)co_await read_names(inode->parent).result();
    if (names_.contains(directory)) {
      place = co_await place_of_living(inode->parent);
      place.path = joined(place.path, names_.at(directory));
    }
  }
  living_[directory] = place;
  co_return place;
}

// Where the directory was at that time: what was in it then was removed before it was, by clocks that may
// differ. A directory that was made anew under its old name has its old id.
Task<Trash::Place> Trash::place_of(InodeId directory, meta::Hlc at, u32 depth) {
  const auto gone = removed_directories_.lower_bound({directory, meta::hlc_before(at, kClocksDiffer)});
  if (gone == removed_directories_.end() || gone->first.first != directory || depth == kDeepest)
    co_return co_await place_of_living(directory);
  Place place = co_await place_of(gone->second->parent, gone->second->removed, depth + 1);
  place.path = joined(place.path, gone->second->name);
  co_return place;
}

Task<Result<void>> Trash::load() {
  rows_.clear();
  removed_directories_.clear();
  living_.clear();
  names_.clear();
  found_.clear();
  entries_.clear();
  co_await read_rows();
  for (const Row& row : rows_) {
    Place place = co_await place_of(row.parent, row.removed);
    entries_.push_back(
        {row.inode.id, row.removed, joined(place.path, row.name), place.known, row.inode, row.xattrs});
  }
  std::ranges::sort(entries_, [](const Trashed& a, const Trashed& b) {
    return a.path != b.path ? a.path < b.path : a.removed > b.removed;
  });
  std::vector<Trashed> kept;
  std::set<std::string> directories;
  for (Trashed& entry : entries_) {
    if (entry.is_directory()) {
      if (!directories.insert(entry.path).second) continue;
      const Result<Inode> now = co_await find(entry.path).result();
      if (now && now->type == FileType::directory) continue;
    }
    kept.push_back(std::move(entry));
  }
  entries_ = std::move(kept);
  co_return Result<void>();
}

Task<Result<Inode>> Trash::find(std::string path) {
  if (!path.empty() && path.front() != '/') co_return Inode();
  if (const auto known = found_.find(path); known != found_.end()) {
    Inode directory;
    directory.id = known->second;
    directory.type = FileType::directory;
    co_return directory;
  }
  Result<Inode> inode = co_await files_.resolve(path).result();
  const bool is_absent =
      !inode && (inode.error().code == Errc::not_found || inode.error().code == Errc::not_directory);
  if (is_absent) co_return Inode();
  if (inode && inode->type == FileType::directory) found_[path] = inode->id;
  co_return inode;
}

Task<std::optional<Trashed>> Trash::pattern_of(std::string path) {
  const auto first = std::ranges::lower_bound(entries_, path, {}, &Trashed::path);
  for (auto entry = first; entry != entries_.end() && entry->path == path; ++entry)
    if (entry->is_directory()) co_return *entry;
  const Result<Inode> there = co_await find(path).result();
  if (!there || there->type != FileType::directory) co_return std::nullopt;
  const Result<Inode> attributes = co_await files_.get_attributes(there->id).result();
  if (!attributes) co_return std::nullopt;
  co_return Trashed{there->id, {}, path, true, *attributes, {}};
}

// With rights for its owner alone until all that belongs into it is there: give_attributes().
Task<Result<InodeId>> Trash::make_directory(std::string path, Trashed like) {
  NewNode node;
  node.parent = co_await directory_for(parent_of(path));
  node.name = name_of(path);
  node.type = FileType::directory;
  node.mode = 0700;
  node.caller = caller_;
  const Inode made = co_await files_.make_directory(std::move(node));
  found_[path] = made.id;
  made_[made.id] = std::move(like);
  co_return made.id;
}

Task<Result<InodeId>> Trash::directory_for(std::string path) {
  const Inode there = co_await find(path);
  if (there.type == FileType::directory) co_return there.id;
  if (there.type != FileType::none)
    co_return fail(Errc::not_directory,
                   fmt::format("{} is no directory now; choose another place with --to", path));
  // Of another place only what is below it is made.
  std::optional<Trashed> like;
  if (to_ == from_)
    like = co_await pattern_of(path);
  else if (path == to_ || is_below(path, to_))
    like = co_await pattern_of(from_ + path.substr(to_.size()));
  if (!like)
    co_return fail(
        Errc::not_found,
        fmt::format("directory {} is not there; make it, or choose another place with --to", path));
  co_return co_await make_directory(std::move(path), std::move(*like)).result();
}

Task<Result<void>> Trash::give_attributes(InodeId directory, const Trashed& like) {
  AttributeChange change;
  change.caller = caller_;
  change.mode = like.attributes.mode;
  if (caller_.uid == 0) change.uid = like.attributes.uid;
  if (caller_.uid == 0) change.gid = like.attributes.gid;
  co_await files_.set_attributes(directory, change);
  for (const meta::Xattr& xattr : like.xattrs)
    co_await files_.set_xattr(directory, xattr.name, xattr.value, meta::XattrMode::set, caller_);
  AttributeChange times;
  times.caller = caller_;
  times.accessed = like.attributes.accessed;
  times.modified = like.attributes.modified;
  co_await files_.set_attributes(directory, times);
  co_return Result<void>();
}

Task<Result<void>> Trash::restore_one(const Trashed& entry, std::string target, Restored* out) {
  if (!target.starts_with('/'))
    co_return fail(Errc::not_found, "the directory it was in is forgotten; choose a place with --to");
  if (entry.is_directory()) {
    const Inode there = co_await find(target);
    if (there.type == FileType::directory) co_return Result<void>();
    if (there.type != FileType::none) co_return fail(Errc::exists);
    co_await make_directory(target, entry);
    ++out->directories;
    co_return Result<void>();
  }
  const InodeId parent = co_await directory_for(parent_of(target));
  co_await files_.restore_file(entry.inode, parent, name_of(target), caller_);
  ++out->files;
  co_return Result<void>();
}

Task<Result<Restored>> Trash::restore(std::string path, InodeId inode, bool all_below, std::string to) {
  std::vector<const Trashed*> chosen;
  from_ = normal(std::move(path));
  for (const Trashed& entry : entries_) {
    const bool wanted = inode != InodeId{}
                            ? entry.inode == inode
                            : entry.path == from_ || (all_below && is_below(entry.path, from_));
    if (wanted && (chosen.empty() || chosen.back()->path != entry.path)) chosen.push_back(&entry);
  }
  if (chosen.empty())
    co_return fail(Errc::not_found,
                   fmt::format("nothing that can be restored was at {}; see `claudefs trash list`",
                               from_.empty() ? "/" : from_));
  if (inode != InodeId{}) from_ = chosen.front()->path;
  to_ = to.empty() ? from_ : normal(std::move(to));
  Restored out;
  for (const Trashed* entry : chosen) {
    const std::string target = to_ + entry->path.substr(from_.size());
    const Result<void> done = co_await restore_one(*entry, target, &out).result();
    if (done) continue;
    const bool taken = done.error().code == Errc::exists;
    out.failures.push_back(fmt::format(
        "{}: {}", target, taken ? "the name is taken; choose another with --to" : done.error().text));
  }
  for (const auto& [directory, like] : made_) {
    const Result<void> done = co_await give_attributes(directory, like).result();
    if (!done)
      out.failures.push_back(fmt::format("{}: its attributes: {}", like.path, done.error().to_string()));
  }
  made_.clear();
  co_return out;
}

Task<Result<meta::EmptyTrashReply>> Trash::empty(meta::Hlc before) {
  meta::EmptyTrashReply sum;
  for (u16 shard = 0; shard < files_.shard_count(); ++shard) {
    meta::TrashPlace after;
    for (bool end = false; !end;) {
      const meta::EmptyTrashReply done = co_await files_.empty_trash(ShardId{shard}, after, before, caller_);
      sum.files += done.files;
      sum.bytes += done.bytes;
      after = done.next;
      end = done.end;
    }
  }
  co_return sum;
}

}  // namespace claudefs::client
