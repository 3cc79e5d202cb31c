// What a deleted volume has left in a shard goes, in bounded steps: docs/volumes.md. Whoever leads goes on;
// what is done is told by the state alone.
#include "base/log.h"
#include "base/mutant.h"
#include "base/probe.h"
#include "meta/detail/keys.h"
#include "meta/detail/records.h"
#include "meta/service/namespace_service.h"

namespace claudefs::meta {

CFS_DEFINE_MUTANT(volume_delete_forgets_tree, "meta: a deleted volume's inodes stay where they are");

namespace {

using namespace std::chrono_literals;
constexpr std::size_t kLookAtOnce = 1024;  // some milliseconds of the reactor
constexpr std::size_t kPurgeAtOnce = 256;
constexpr runtime::Duration kPause = 5ms;  // the shard's clients have their turn

std::vector<VolumeId> deleted_volumes(const ReadContext& state) {
  std::vector<VolumeId> out;
  const std::string table = key_of_table(Table::volume_purge);
  state.scan(table, table, [&](std::string_view key, std::string_view) {
    out.push_back(VolumeId{static_cast<u32>(number_in(key, 1))});
    return true;
  });
  return out;
}

// Inodes that were promised to a transaction before this shard knew that the volume is deleted.
bool is_promised_more(const ReadContext& state, VolumeId volume) {
  bool found = false;
  const std::string table = key_of_table(Table::prepared);
  state.scan(table, table, [&](std::string_view, std::string_view value) {
    const Result<Prepare> prepared = wire::decode<Prepare>(as_bytes(value));
    CFS_CHECK(prepared.has_value());
    for (const Part& part : prepared->parts) {
      if (const auto* made = std::get_if<MakeInode>(&part)) found |= made->born.inode.volume == volume;
      if (const auto* made = std::get_if<MakeFragment>(&part)) found |= made->born.inode.volume == volume;
    }
    return !found;
  });
  return found;
}

// A page of a table: rows behind `from` that `take` does not object to. True: the table ends here.
bool page(const ReadContext& state, Table which, std::string& from,
          const std::function<std::size_t(std::string_view key, std::string_view value)>& take) {
  const std::string table = key_of_table(which);
  std::size_t seen = 0;
  bool end = true;
  state.scan(table, from.empty() ? table : from, [&](std::string_view key, std::string_view value) {
    end = ++seen <= kLookAtOnce;
    if (end) end = take(key, value) < kPurgeAtOnce;
    if (!end) from = std::string(key);
    return end;
  });
  return end;
}

bool inodes_of(const ReadContext& state, std::string& from, PurgeVolume& op) {
  return page(state, Table::inode, from, [&](std::string_view, std::string_view value) {
    const Result<Inode> inode = wire::decode<Inode>(as_bytes(value));
    CFS_CHECK(inode.has_value());
    if (inode->volume == op.volume) op.inodes.push_back(inode->id);
    return op.inodes.size();
  });
}

bool removed_directories_of(const ReadContext& state, std::string& from, PurgeVolume& op) {
  return page(state, Table::trash, from, [&](std::string_view key, std::string_view value) {
    const Result<TrashRecord> record = wire::decode<TrashRecord>(as_bytes(value));
    CFS_CHECK(record.has_value());
    if (record->directory && record->directory->volume == op.volume)
      op.removed_directories.push_back({Hlc{number_in(key, 1)}, InodeId{number_in(key, 9)}});
    return op.removed_directories.size();
  });
}

}  // namespace

// Not a part of clean_up(): a large volume takes minutes.
runtime::Task<void> NamespaceService::empty_volumes(ShardId shard, Term) {
  for (;;) {
    co_await service_.env().executor().sleep(1s);
    (void)co_await purge_volumes(shard).result();
  }
}

runtime::Task<Result<void>> NamespaceService::purge_volumes(ShardId shard) {
  for (const VolumeId volume : deleted_volumes(service_.machine(shard)->reader())) {
    const bool empty = co_await purge_volume_once(shard, volume);
    if (!empty && !CFS_MUTANT(volume_delete_forgets_tree)) continue;
    CFS_PROBE(meta_volume_purged, "nothing of a deleted volume is left in a shard");
    log::info("meta", "nothing is left of a deleted volume",
              {log::kv("shard", shard), log::kv("volume", volume)});
    PurgeVolume last;
    last.volume = volume;
    last.nothing_left = true;
    co_await purge_of_volume(shard, std::move(last));
  }
  co_return Result<void>();
}

// Once through the shard. True when nothing was found, and so nothing can come any more: what is made is made
// in a directory of the volume, and is here with it, or was promised before.
runtime::Task<Result<bool>> NamespaceService::purge_volume_once(ShardId shard, VolumeId volume) {
  const ReadContext& state = service_.machine(shard)->reader();
  bool empty = !is_promised_more(state, volume);
  if (CFS_MUTANT(volume_delete_forgets_tree)) co_return empty;
  for (const auto find : {inodes_of, removed_directories_of}) {
    std::string from;
    for (bool end = false; !end;) {
      PurgeVolume op;
      op.volume = volume;
      end = find(state, from, op);
      co_await service_.env().executor().sleep(kPause);
      if (op.inodes.empty() && op.removed_directories.empty()) continue;
      empty = false;
      co_await purge_of_volume(shard, std::move(op));
    }
  }
  co_return empty;
}

runtime::Task<Result<void>> NamespaceService::purge_of_volume(ShardId shard, PurgeVolume op) {
  for (bool more = true; more;) {
    const PurgeVolumeReply reply = co_await service_.propose_op(shard, op);
    more = reply.more;
  }
  co_return Result<void>();
}

}  // namespace claudefs::meta
