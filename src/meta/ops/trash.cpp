// The trash is listed, emptied, and files come back out of it.
#include "meta/trash.h"

#include <algorithm>

#include "meta/detail/keys.h"
#include "meta/detail/locks.h"
#include "meta/detail/namespace.h"
#include "meta/detail/permission.h"
#include "meta/detail/records.h"
#include "meta/detail/trash.h"
#include "meta/detail/volumes.h"
#include "meta/hlc.h"
#include "meta/ops/ops.h"

namespace claudefs::meta {

namespace {

constexpr u32 kRowsMost = 4096;
constexpr u32 kDueAtOnce = 512;              // rows that a leader looks at in a second
constexpr std::size_t kBytesMost = 4 << 20;  // of rows, and one more

struct Found {
  TrashPlace place;
  TrashRecord record;
};
// Up to `rows_max` rows behind `after` of what was removed before `before`. False: there are more.
bool rows_behind(const ReadContext& context, TrashPlace after, Hlc before, u32 rows_max,
                 std::vector<Found>& out) {
  const u32 most = std::clamp<u32>(rows_max, 1, kRowsMost);
  std::size_t bytes = 0;
  bool end = true;
  context.scan(key_of_table(Table::trash), trash_key(after.removed, InodeId{after.inode.value + 1}),
               [&](std::string_view key, std::string_view value) {
                 const TrashPlace place{Hlc{number_in(key, 1)}, InodeId{number_in(key, 9)}};
                 if (place.removed >= before) return false;
                 end = out.size() < most && bytes < kBytesMost;
                 if (!end) return false;
                 bytes += value.size();
                 Result<TrashRecord> record = wire::decode<TrashRecord>(as_bytes(value));
                 CFS_CHECK(record.has_value());
                 out.push_back({place, std::move(*record)});
                 return true;
               });
  return end;
}

// Of a directory as it was; nothing where a file's inode is being restored or purged.
std::optional<Inode> inode_of(const ReadContext& context, const Found& found) {
  if (found.record.directory) return found.record.directory;
  return context.load<Inode>(inode_key(found.place.inode));
}

bool is_for(const Caller& caller, VolumeId volume, const Inode& inode) {
  return is_owner(caller, inode) && (volume == VolumeId{} || volume == inode.volume);
}

// False: it is being restored. The purge does the rest, and waits for those who have it open.
bool remove_from_trash(ApplyContext& context, const Found& found) {
  const TrashPlace place = found.place;
  if (found.record.directory) {
    context.remove(trash_key(place.removed, place.inode));
    return true;
  }
  if (!check_free(context, inode_lock(place.inode), true)) return false;
  leave_trash(context, place.inode);
  context.store(orphan_key(place.inode), OrphanRecord{place.removed, true});
  return true;
}

}  // namespace

Result<ListTrashReply> read_trash(const ReadContext& context, const ListTrash& op) {
  std::vector<Found> rows;
  ListTrashReply reply;
  reply.end = rows_behind(context, op.after, Hlc{~u64{0}}, op.rows_max, rows);
  reply.next = rows.empty() ? op.after : rows.back().place;
  for (Found& found : rows) {
    std::optional<Inode> inode = inode_of(context, found);
    if (!inode || !is_for(op.caller, op.volume, *inode)) continue;
    reply.rows.push_back({found.place.removed, found.record.parent, std::move(found.record.name),
                          std::move(*inode), std::move(found.record.xattrs)});
  }
  return reply;
}

Result<EmptyTrashReply> apply_empty_trash(ApplyContext& context, const EmptyTrash& op) {
  std::vector<Found> rows;
  EmptyTrashReply reply;
  reply.end = rows_behind(context, op.after, op.before, op.rows_max, rows);
  reply.next = op.after;
  for (const Found& found : rows) {
    reply.next = found.place;
    const std::optional<Inode> inode = inode_of(context, found);
    if (!inode || !is_for(op.caller, op.volume, *inode)) continue;
    if (!remove_from_trash(context, found) || found.record.directory) continue;
    ++reply.files;
    reply.bytes += found.record.bytes;
    if (reply.bytes < op.bytes_max) continue;
    reply.end = false;
    break;
  }
  return reply;
}

DueTrash due_trash(const ReadContext& context, TrashPlace after, Hlc now, const TrashPolicy& of_cluster) {
  const auto before = [&](runtime::Duration keep) {
    return hlc_before(now, static_cast<u64>(keep / std::chrono::milliseconds(1)));
  };
  std::vector<Found> rows;
  const bool end =
      rows_behind(context, after, before(least_time_in_trash(context, of_cluster)), kDueAtOnce, rows);
  DueTrash out;
  for (const Found& found : rows) {
    const std::optional<Inode> inode = inode_of(context, found);
    if (inode && found.place.removed < before(time_in_trash(context, inode->volume, of_cluster)))
      out.places.push_back(found.place);
  }
  if (!end) out.next = rows.back().place;
  return out;
}

Result<Nothing> apply_expire_trash(ApplyContext& context, const ExpireTrash& op) {
  for (const TrashPlace place : op.places) {
    std::optional<TrashRecord> record = context.load<TrashRecord>(trash_key(place.removed, place.inode));
    if (record) remove_from_trash(context, {place, std::move(*record)});
  }
  return Nothing{};
}

Result<Plan<InodeReply>> plan_restore_file(const ReadContext& context, const RestoreFile& op,
                                           const Inode& inode, Time now) {
  return plan_new_name(context, {op.new_parent, op.new_name, op.caller}, inode,
                       TakeFromTrash{op.inode, now, op.caller});
}

Result<InodeReply> apply_restore_file(ApplyContext& context, const RestoreFile& op) {
  if (!is_local(context, op.inode)) return fail(Errc::cross_device);
  const Result<Inode> inode = load_inode(context, op.inode);
  if (!inode) return fail(Errc::not_found, "it is not in the trash any more");
  TRY_ASSIGN(const Plan<InodeReply> plan, plan_restore_file(context, op, *inode, context.now()));
  return run_plan(context, plan);
}

}  // namespace claudefs::meta
