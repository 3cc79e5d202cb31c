// Inodes against directory entries: every entry leads to an inode, every inode has as many names as it says,
// directories count what is in them. What looks wrong is looked at again after everything between shards has
// arrived, until it stood still meanwhile.
#include <algorithm>
#include <set>

#include "base/mutant.h"
#include "data/detail/fsck_run.h"
#include "meta/names.h"
#include "meta/volumes.h"

CFS_DEFINE_MUTANT(data_fsck_knows_no_fragments,
                  "fsck: what it finds without a name gets one in a range that another fragment has");

namespace claudefs::data {
namespace {

using namespace std::chrono_literals;
using runtime::Task;

constexpr int kPasses = 4;

struct Names {
  u64 count = 0;
  InodeId directory{};  // one that names it
  std::string name;
  meta::FileType type = meta::FileType::none;
};
struct Content {
  u64 entries = 0;
  u64 directories = 0;
  u64 first = ~u64{0}, last = 0;  // cookies
};
// A fragment stands for its directory.
InodeId directory_of(const std::map<InodeId, meta::AuditInodesReply::Row>& inodes, InodeId id) {
  const auto row = inodes.find(id);
  return row == inodes.end() ? id : meta::directory_of(row->second.inode);
}
struct Seen {
  std::map<VolumeId, meta::Volume> volumes;
  std::map<InodeId, std::string> roots;  // of those that are not being deleted
  std::map<InodeId, meta::AuditInodesReply::Row> inodes;
  std::map<InodeId, Names> names;
  std::map<InodeId, Content> contents;
  std::map<InodeId, meta::FragmentMap> fragments;  // of split directories; none of one that is gone
};

Task<Result<void>> read_inodes(FsckRun& run, std::map<InodeId, meta::AuditInodesReply::Row>& out,
                               const std::set<InodeId>& wanted) {
  for (u16 shard = 0; shard < run.shards(); ++shard) {
    run.progress({"names: inodes of shard", shard, run.shards()});
    meta::AuditInodes ask;
    for (bool end = false; !end;) {
      meta::AuditInodesReply page = co_await run.router.call(ShardId{shard}, ask);
      end = page.end || page.rows.empty();
      if (!page.rows.empty()) ask.after = page.rows.back().inode.id;
      for (meta::AuditInodesReply::Row& row : page.rows)
        if (wanted.empty() || wanted.contains(row.inode.id)) out[row.inode.id] = std::move(row);
    }
  }
  co_return Result<void>();
}

void count_inodes(FsckRun& run, const std::map<InodeId, meta::AuditInodesReply::Row>& inodes) {
  for (const auto& [id, row] : inodes) {
    run.report.split_directories += is_split(row.inode) ? 1 : 0;
    run.report.fragments += is_fragment(row.inode) ? 1 : 0;
  }
  run.report.inodes = inodes.size() - run.report.fragments;
}

Task<Result<void>> read_entries(FsckRun& run, Seen& seen, const std::set<InodeId>& wanted, bool count) {
  for (u16 shard = 0; shard < run.shards(); ++shard) {
    run.progress({"names: entries of shard", shard, run.shards()});
    meta::AuditDentries ask;
    for (bool end = false; !end;) {
      meta::AuditDentriesReply page = co_await run.router.call(ShardId{shard}, ask);
      end = page.end || page.rows.empty();
      if (count) run.report.entries += page.rows.size();
      if (!page.rows.empty()) {
        ask.after_directory = page.rows.back().directory;
        ask.after_cookie = page.rows.back().cookie;
      }
      for (meta::AuditDentriesReply::Row& row : page.rows) {
        if (wanted.empty() || wanted.contains(row.directory)) {
          Content& content = seen.contents[row.directory];
          ++content.entries;
          content.first = std::min(content.first, row.cookie);
          content.last = std::max(content.last, row.cookie);
          content.directories += row.dentry.type == meta::FileType::directory ? 1 : 0;
        }
        if (wanted.empty() || wanted.contains(row.dentry.inode)) {
          Names& names = seen.names[row.dentry.inode];
          ++names.count;
          names.directory = row.directory;
          names.name = std::move(row.dentry.name);
          names.type = row.dentry.type;
        }
      }
    }
  }
  co_return Result<void>();
}

// What is wrong with an inode and its names; empty: nothing.
struct Wrong {
  std::string kind;
  std::string text;
};
// A directory of a volume that is being deleted: piece by piece, also what its entries lead to.
bool is_deleted(const Seen& seen, InodeId directory) {
  const auto row = seen.inodes.find(directory);
  if (row == seen.inodes.end()) return false;
  const auto volume = seen.volumes.find(row->second.inode.volume);
  return volume != seen.volumes.end() && volume->second.state == meta::VolumeState::deleting;
}

// A fragment is where its directory's map says, and a directory's entries are in their ranges.
std::optional<Wrong> judge_range(const Seen& seen, const meta::Inode& inode, const Content& held) {
  if (!is_split(inode) && !is_fragment(inode)) return std::nullopt;
  const InodeId directory = meta::directory_of(inode);
  const auto map = seen.fragments.find(directory);
  if (map == seen.fragments.end())
    return Wrong{"fragment", fmt::format("{:#x} is a fragment of directory {:#x}, which is not there",
                                         inode.id.value, directory.value)};
  u64 first = 0;
  auto next = map->second.begin();
  if (is_fragment(inode)) {
    next = std::ranges::find(map->second, inode.id, &meta::Fragment::inode);
    if (next == map->second.end())
      return Wrong{"fragment", fmt::format("{:#x} is no fragment of directory {:#x} and says so",
                                           inode.id.value, directory.value)};
    first = (next++)->first;
  }
  const u64 end = next == map->second.end() ? ~u64{0} : next->first;
  if (held.entries != 0 && (held.first < first || held.last >= end))
    return Wrong{"fragment", fmt::format("{:#x}, of directory {:#x}, has entries of another fragment's range",
                                         inode.id.value, directory.value)};
  return std::nullopt;
}

std::optional<Wrong> judge(const Seen& seen, InodeId id, const meta::AuditInodesReply::Row* row,
                           const Names* names, const Content* content) {
  const u64 count = names == nullptr ? 0 : names->count;
  if (row == nullptr) {
    if (const auto root = seen.roots.find(id); root != seen.roots.end())
      return Wrong{"volume", fmt::format("volume '{}' has lost its root {:#x}", root->second, id.value)};
    if (count != 0 && is_deleted(seen, names->directory)) return std::nullopt;
    if (count != 0)
      return Wrong{"entry",
                   fmt::format("entry '{}' of directory {:#x} leads to inode {:#x}, which is not there",
                               names->name, names->directory.value, id.value)};
    if (content != nullptr && content->entries != 0)
      return Wrong{"directory", fmt::format("{} entries are in directory {:#x}, which is not there",
                                            content->entries, id.value)};
    return std::nullopt;
  }
  const meta::Inode& inode = row->inode;
  const auto volume = seen.volumes.find(inode.volume);
  if (volume == seen.volumes.end())
    return Wrong{"volume", fmt::format("inode {:#x} is of volume {}, which is not there", id.value,
                                       inode.volume.value)};
  if (volume->second.state == meta::VolumeState::deleting) return std::nullopt;
  const bool root = id == volume->second.root;
  const auto directory = names == nullptr ? seen.inodes.end() : seen.inodes.find(names->directory);
  if (directory != seen.inodes.end() && directory->second.inode.volume != inode.volume)
    return Wrong{"volume", fmt::format("entry '{}' of directory {:#x} leads to inode {:#x} of another volume",
                                       names->name, names->directory.value, id.value)};
  if (names != nullptr && names->type != inode.type)
    return Wrong{"entry",
                 fmt::format("entry '{}' of directory {:#x} says that inode {:#x} is of another type",
                             names->name, names->directory.value, id.value)};
  if (inode.type == meta::FileType::directory) {
    const Content held = content == nullptr ? Content{} : *content;
    if (!root && count != 1 && !is_fragment(inode))
      return Wrong{"links", fmt::format("directory {:#x} has {} names", id.value, count)};
    const InodeId in = names == nullptr ? InodeId{} : directory_of(seen.inodes, names->directory);
    if (!root && !is_fragment(inode) && in != inode.parent)
      return Wrong{"directory", fmt::format("directory {:#x} is in {:#x} and says {:#x}", id.value, in.value,
                                            inode.parent.value)};
    if (inode.size != held.entries || inode.nlink != 2 + held.directories)
      return Wrong{"directory",
                   fmt::format("directory {:#x} counts {} entries and {} links; there are {} and {}",
                               id.value, inode.size, inode.nlink, held.entries, 2 + held.directories)};
    return judge_range(seen, inode, held);
  }
  if (inode.nlink != count)
    return Wrong{"links",
                 fmt::format("inode {:#x} says {} links, {} entries name it", id.value, inode.nlink, count)};
  if (count == 0 && !row->orphan)
    return Wrong{"links", fmt::format("inode {:#x} has no name and does not wait to be purged", id.value)};
  return std::nullopt;
}

template <class Map>
auto find_in(const Map& map, InodeId id) {
  const auto it = map.find(id);
  return it == map.end() ? nullptr : &it->second;
}

// The directory, or the fragment of it that has the name's range.
Task<InodeId> place_of(FsckRun& run, InodeId directory, std::string name) {
  const Result<meta::ReadFragments::Reply> map =
      co_await run.router.call(directory.shard(), meta::ReadFragments(directory)).result();
  InodeId place = directory;
  if (!map || CFS_MUTANT(data_fsck_knows_no_fragments)) co_return place;
  for (const meta::Fragment& fragment : map->fragments)
    if (fragment.first <= meta::cookie_of(name)) place = fragment.inode;
  co_return place;
}

Task<bool> repair(FsckRun& run, const Seen& seen, InodeId id, const meta::AuditInodesReply::Row* row,
                  const Names* names, const Content* content) {
  if (row == nullptr) {
    if (names == nullptr || seen.roots.contains(id))
      co_return false;  // entries of a directory that is gone: their inodes come up by themselves
    meta::RepairDentry op;
    op.directory = names->directory;
    op.name = names->name;
    op.leads_to = id;
    co_return (co_await run.router.call(op.directory.shard(), op).result()).has_value();
  }
  const auto volume = seen.volumes.find(row->inode.volume);
  if (volume == seen.volumes.end()) co_return false;
  const InodeId root = volume->second.root;
  const bool directory = row->inode.type == meta::FileType::directory;
  const bool fragment = is_fragment(row->inode);
  u64 count = names == nullptr ? 0 : names->count;
  meta::RepairInode op;
  op.inode = id;
  op.if_changed = row->inode.changed;
  if (count == 0 && id != root && !fragment) {
    meta::RepairDentry add;
    add.name = fmt::format("lost+found.{:x}", id.value);
    add.directory = co_await place_of(run, root, add.name);
    add.leads_to = id;
    add.type = row->inode.type;
    add.add = true;
    if (!co_await run.router.call(add.directory.shard(), add).result()) co_return false;
    count = 1;
    if (directory) op.parent = root;
  } else if (directory && names != nullptr) {
    op.parent = directory_of(seen.inodes, names->directory);
  }
  const Content held = content == nullptr ? Content{} : *content;
  op.nlink = static_cast<u32>(directory ? 2 + held.directories : count);
  if (directory) op.size = held.entries;
  co_return (co_await run.router.call(id.shard(), op).result()).has_value();
}

// Maps are asked for when the rest has been read: what changed meanwhile is looked at again.
Task<Result<void>> read_fragments(FsckRun& run, Seen& seen) {
  std::set<InodeId> directories;
  for (const auto& [id, row] : seen.inodes) {
    if (is_split(row.inode) || is_fragment(row.inode)) directories.insert(meta::directory_of(row.inode));
  }
  for (const InodeId directory : directories) {
    Result<meta::ReadFragments::Reply> reply =
        co_await run.router.call(directory.shard(), meta::ReadFragments(directory)).result();
    if (!reply && reply.error().code != Errc::stale) co_return fail(reply.error());
    if (reply) seen.fragments[directory] = std::move(reply->fragments);
  }
  co_return Result<void>();
}

// A fragment that a map names and that is not there.
std::optional<Wrong> judge_maps(const Seen& seen, InodeId directory, const std::set<InodeId>& wanted) {
  const auto map = seen.fragments.find(directory);
  if (map == seen.fragments.end()) return std::nullopt;
  for (const meta::Fragment& fragment : map->second)
    if ((wanted.empty() || wanted.contains(fragment.inode)) && !seen.inodes.contains(fragment.inode))
      return Wrong{"fragment", fmt::format("fragment {:#x} of directory {:#x} is not there",
                                           fragment.inode.value, directory.value)};
  return std::nullopt;
}

}  // namespace

Task<Result<void>> check_names(FsckRun& run) {
  std::set<InodeId> wanted;
  for (int number = 0; number < kPasses; ++number) {
    co_await run.settle();
    Seen before;
    co_await read_inodes(run, before.inodes, wanted);
    if (number == 0) count_inodes(run, before.inodes);
    co_await run.settle();
    Seen seen;
    co_await read_entries(run, seen, wanted, number == 0);
    co_await run.settle();
    co_await read_inodes(run, seen.inodes, wanted);
    co_await read_fragments(run, seen);
    // After the inodes: the record of a volume is there before its root.
    const meta::ListVolumesReply volumes = co_await run.router.call(ShardId{0}, meta::ListVolumes());
    std::set<InodeId> all, again;
    for (const meta::Volume& volume : volumes.volumes) {
      seen.volumes[volume.id] = volume;
      if (volume.state == meta::VolumeState::deleting) continue;
      seen.roots[volume.root] = volume.name;
      if (wanted.empty() || wanted.contains(volume.root)) all.insert(volume.root);
    }
    for (const auto& [id, row] : seen.inodes) all.insert(id);
    for (const auto& [id, row] : before.inodes) all.insert(id);
    for (const auto& [id, names] : seen.names) all.insert(id);
    for (const auto& [id, content] : seen.contents) all.insert(id);
    for (const InodeId id : all) {
      const auto* row = find_in(seen.inodes, id);
      const auto* former = find_in(before.inodes, id);
      const Names* names = find_in(seen.names, id);
      const Content* content = find_in(seen.contents, id);
      std::optional<Wrong> wrong = judge(seen, id, row, names, content);
      if (!wrong) wrong = judge_maps(seen, id, wanted);
      if (!wrong) continue;
      // Once is not enough: it may have changed between the readings. An inode that is the same before and
      // after, and an entry that still leads nowhere the next time, have not.
      const bool stood_still =
          (row == nullptr) == (former == nullptr) &&
          (row == nullptr ||
           (row->inode.changed == former->inode.changed && row->inode.nlink == former->inode.nlink &&
            row->inode.size == former->inode.size && row->inode.flags == former->inode.flags));
      if (!stood_still || number < 2) {
        again.insert(id);
        if (names != nullptr) again.insert(names->directory);
        if (row != nullptr) again.insert(meta::directory_of(row->inode));
        if (const auto map = seen.fragments.find(id); map != seen.fragments.end())
          for (const meta::Fragment& fragment : map->second) again.insert(fragment.inode);
        continue;
      }
      const bool can_mend = wrong->kind != "fragment";
      bool repaired = run.options.repair && can_mend;
      if (repaired) repaired = co_await repair(run, seen, id, row, names, content);
      run.found(wrong->kind, wrong->text, repaired);
    }
    wanted = std::move(again);
    if (wanted.empty()) co_return Result<void>();
    if (number + 1 < kPasses) co_await run.env.executor().sleep(500ms);
  }
  run.report.undecided += wanted.size();
  co_return Result<void>();
}

}  // namespace claudefs::data
