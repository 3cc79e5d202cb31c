#include "meta/service/directory_keeper.h"

#include <algorithm>

#include "base/log.h"
#include "base/probe.h"
#include "meta/detail/fragments.h"
#include "meta/detail/keys.h"
#include "meta/detail/namespace.h"
#include "meta/hlc.h"
#include "meta/names.h"

namespace claudefs::meta {
namespace {

using namespace std::chrono_literals;
using runtime::Task;
constexpr runtime::Duration kEvery = 1s;
constexpr u64 kBytesMoved = 1_MiB;  // of one step, about: it is a message and an entry of the log
constexpr u64 kBusyFragment = 50;   // changes a second: it stays however small it is
constexpr std::size_t kMergesAtOnce = 4;

// Ids of directories have the bit (docs/formats/metadata.md); those of a few other inodes, too.
bool may_be_directory(InodeId inode) { return inode == kRootInode || (inode.value >> 43 & 1) != 0; }

// Where the upper half of the entries begins, or less where that is too much at once. 0: nowhere.
u64 middle_of(const ReadContext& state, InodeId directory) {
  struct Row {
    u64 base, bytes;
  };
  std::vector<Row> rows;
  u64 above = 0;
  const std::string prefix = dentries_key(directory);
  state.scan(prefix, prefix, [&](std::string_view key, std::string_view value) {
    const u64 bytes = value.size() + 16;
    rows.push_back({number_in(key, prefix.size()) / kSlots * kSlots, bytes});
    above += bytes;
    return true;
  });
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (i >= rows.size() / 2 && above <= kBytesMoved && rows[i].base > rows.front().base) return rows[i].base;
    above -= rows[i].bytes;
  }
  return 0;
}

}  // namespace

void DirectoryKeeper::note_changes(ShardId shard, const std::vector<InodeId>& inodes) {
  for (const InodeId inode : inodes)
    if (may_be_directory(inode)) ++changed_[shard][inode];
}

Task<void> DirectoryKeeper::tend(ShardId shard, Term) {
  changed_.erase(shard);
  for (;;) {
    co_await service_.env().executor().sleep(kEvery);
    const Changes changes = std::exchange(changed_[shard], {});
    co_await split_some(shard, changes);
    co_await merge_some(shard, changes);
  }
}

Task<void> DirectoryKeeper::split_some(ShardId shard, Changes changes) {
  u64 all = 0;
  for (const auto& [inode, count] : changes) all += count;
  for (const auto& [id, count] : changes) {
    const Result<Inode> inode = load_directory(service_.machine(shard)->reader(), id);
    if (!inode) continue;
    const bool hot = count >= policy_.hot_changes && count * 2 >= all && inode->size >= policy_.hot_from;
    if (inode->size < policy_.split_at && !hot) continue;
    if (hot) CFS_PROBE(meta_directory_hot, "a directory is split because it is hot");
    (void)co_await split(shard, id).result();
    changed_[shard].try_emplace(id, 0);  // once more: it may not have been possible, or not be enough
  }
}

Task<Result<void>> DirectoryKeeper::split(ShardId shard, InodeId from) {
  const ReadContext& state = service_.machine(shard)->reader();
  const Inode before = co_await load_directory(state, from);
  const InodeId directory = directory_of(before);
  const bool own = directory == from;  // the first range is the directory's
  const ReadFragments::Reply known = co_await service_.call_op(directory.shard(), ReadFragments(directory));
  const FragmentRecord range = load_fragments(state, from).value_or(FragmentRecord());
  const u64 middle = middle_of(state, from);
  if (middle == 0 || known.fragments.size() >= kFragmentsMost) co_return Result<void>();

  const Fragment made = new_fragment(directory, known.fragments, middle);
  SetFragments map{directory, known.fragments, known.fragments};
  map.after.insert(std::ranges::upper_bound(map.after, middle, {}, &Fragment::first), made);
  Coordinator::Move move;
  move.source.push_back(CutEntries{from, middle, range.end, false});
  if (own) move.source.push_back(map);
  move.rest = [own, map, made, end = range.end](FragmentContent content) {
    constexpr u32 kLists = kHasAccessAcl | kHasDefaultAcl;
    Newborn born = std::move(content.like);
    born.inode.id = made.inode;
    born.inode.parent = map.directory;
    born.inode.flags = (born.inode.flags & kLists) | kIsFragment;
    std::vector<Part> parts;
    parts.push_back(MakeFragment{std::move(born), made.first, end, std::move(content.entries)});
    if (!own) parts.push_back(map);
    return parts;
  };
  co_await coordinator_.move_entries(shard, std::move(move));
  CFS_PROBE(meta_directory_split, "a directory is split");
  if (policy_.figures) ++policy_.figures->splits;
  log::info("meta", "a directory is split",
            {log::kv("directory", directory), log::kv("fragments", map.after.size() + 1),
             log::kv("from_shard", shard), log::kv("to_shard", made.inode.shard())});
  co_return Result<void>();
}

// In the shard that has fewest of this directory.
Fragment DirectoryKeeper::new_fragment(InodeId directory, const FragmentMap& map, u64 first) {
  std::vector<u32> used(service_.shard_count());
  ++used[directory.shard().value];
  for (const Fragment& fragment : map) ++used[fragment.inode.shard().value];
  std::size_t shard = directory.shard().value;
  for (std::size_t step = 1; step <= used.size(); ++step) {
    const std::size_t other = (directory.shard().value + step) % used.size();
    if (used[other] < used[shard]) shard = other;
  }
  const u64 stamp = hlc_of(service_.env().wall_now()).value ^ service_.env().random().next();
  const u64 hash = hash_of_name(fmt::format("{:x} {:x}", directory, first), stamp);
  return {first,
          InodeId::make(directory.site(), ShardId{static_cast<u16>(shard)}, u64{1} << 43 | hash >> 21)};
}

std::vector<InodeId> DirectoryKeeper::quiet_and_small(ShardId shard, const Changes& changes) {
  std::vector<InodeId> out;
  const runtime::Instant now = service_.env().now();
  const ReadContext& state = service_.machine(shard)->reader();
  const std::string table = key_of_table(Table::fragments);
  state.scan(table, table, [&](std::string_view key, std::string_view) {
    const InodeId id{number_in(key, table.size())};
    const Result<Inode> inode = load_inode(state, id);
    if (!inode || !is_fragment(*inode)) return true;
    const auto count = changes.find(id);
    const bool busy = count != changes.end() && count->second >= kBusyFragment;
    if (busy || inode->size >= policy_.merge_below)
      quiet_since_.erase(id);
    else if (now - quiet_since_.try_emplace(id, now).first->second >= policy_.quiet_for)
      out.push_back(id);
    return out.size() < kMergesAtOnce;
  });
  return out;
}

Task<void> DirectoryKeeper::merge_some(ShardId shard, Changes changes) {
  for (const InodeId fragment : quiet_and_small(shard, changes)) {
    const Result<void> done = co_await merge(shard, fragment).result();
    // Its neighbour is too large, or something was in the way.
    if (done)
      quiet_since_.erase(fragment);
    else
      quiet_since_[fragment] = service_.env().now();
  }
}

Task<Result<void>> DirectoryKeeper::merge(ShardId shard, InodeId fragment) {
  const Inode inode = co_await load_directory(service_.machine(shard)->reader(), fragment);
  const ReadFragments::Reply known =
      co_await service_.call_op(inode.parent.shard(), ReadFragments(inode.parent));
  const auto at = std::ranges::find(known.fragments, fragment, &Fragment::inode);
  if (at == known.fragments.end()) co_return fail(Errc::stale);
  const bool first = at == known.fragments.begin();
  const InodeId before = first ? inode.parent : (at - 1)->inode;
  u64 entries = inode.size + known.inode.size;
  if (!first) {
    const InodeReply there = co_await service_.call_op(before.shard(), GetAttributes(before));
    entries = inode.size + there.inode.size;
  }
  if (entries >= policy_.merge_below) co_return fail(Errc::busy, "together they are too many");
  const u64 begin = at->first;
  const u64 end = at + 1 == known.fragments.end() ? 0 : (at + 1)->first;
  SetFragments map{inode.parent, known.fragments, known.fragments};
  map.after.erase(map.after.begin() + (at - known.fragments.begin()));
  Coordinator::Move move;
  move.source.push_back(CutEntries{fragment, begin, end, false});
  move.rest = [before, begin, end, map](FragmentContent content) {
    std::vector<Part> parts;
    parts.push_back(TakeEntries{before, begin, end, std::move(content)});
    parts.push_back(map);
    return parts;
  };
  co_await coordinator_.move_entries(shard, std::move(move));
  CFS_PROBE(meta_fragments_merged, "two ranges of a directory come together");
  if (policy_.figures) ++policy_.figures->merges;
  log::info("meta", "fragments of a directory come together",
            {log::kv("directory", inode.parent), log::kv("fragments", map.after.size() + 1)});
  co_return Result<void>();
}

}  // namespace claudefs::meta
