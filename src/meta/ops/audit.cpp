// Pages of a shard's tables, and mending: meta/audit.h.
#include "meta/audit.h"

#include <algorithm>

#include "meta/commands.h"
#include "meta/detail/fragments.h"
#include "meta/detail/keys.h"
#include "meta/detail/namespace.h"
#include "meta/detail/records.h"
#include "meta/names.h"
#include "meta/ops/ops.h"

namespace claudefs::meta {
namespace {

constexpr u32 kRowsMost = 65536;

template <class T>
T decoded(std::string_view value) {
  Result<T> record = wire::decode<T>(as_bytes(value));
  CFS_CHECK(record.has_value());
  return std::move(*record);
}

Result<AuditInodesReply> read_inodes(const ReadContext& context, const AuditInodes& op) {
  AuditInodesReply reply;
  const u32 rows_max = std::clamp<u32>(op.rows_max, 1, kRowsMost);
  reply.end = true;
  context.scan(key_of_table(Table::inode), inode_key(InodeId{op.after.value + 1}),
               [&](std::string_view, std::string_view value) {
                 reply.end = reply.rows.size() < rows_max;
                 if (reply.end) reply.rows.push_back({decoded<Inode>(value), false});
                 return reply.end;
               });
  for (AuditInodesReply::Row& row : reply.rows)
    row.orphan = context.get(orphan_key(row.inode.id)) || context.get(trashed_key(row.inode.id));
  return reply;
}

Result<AuditDentriesReply> read_dentries(const ReadContext& context, const AuditDentries& op) {
  AuditDentriesReply reply;
  const u32 rows_max = std::clamp<u32>(op.rows_max, 1, kRowsMost);
  reply.end = true;
  context.scan(key_of_table(Table::dentry), dentry_key(op.after_directory, op.after_cookie + 1),
               [&](std::string_view key, std::string_view value) {
                 reply.end = reply.rows.size() < rows_max;
                 if (!reply.end) return false;
                 Dentry dentry = decoded<Dentry>(value);
                 if (!dentry.name.empty())
                   reply.rows.push_back({InodeId{number_in(key, 1)}, number_in(key, 9), std::move(dentry)});
                 return true;
               });
  return reply;
}

Result<AuditExtentsReply> read_extents(const ReadContext& context, const AuditExtents& op) {
  AuditExtentsReply reply;
  const std::string prefix = key_of_table(Table::extent);
  const u32 rows_max = std::clamp<u32>(op.rows_max, 1, kRowsMost);
  reply.end = true;
  InodeId current{};
  std::size_t of_current = 0;  // where its rows begin
  std::string begin_of_current;
  context.scan(prefix, op.from.empty() ? prefix : op.from, [&](std::string_view key, std::string_view value) {
    const InodeId inode{number_in(key, 1)};
    if (inode != current) {
      current = inode;
      of_current = reply.rows.size();
      begin_of_current = std::string(key);
    }
    if (reply.seen == rows_max) {
      reply.end = false;
      reply.next = std::string(key);
      return false;
    }
    ++reply.seen;
    const Extent extent = decoded<Extent>(value);
    if (const auto* chunk = std::get_if<ChunkRef>(&extent.content))
      reply.rows.push_back({inode, chunk->hash});
    return true;
  });
  if (reply.end) return reply;
  // Cut where an inode begins; one that fills the page has several.
  if (of_current == 0 && reply.next != begin_of_current) {
    reply.split = current;
    const std::optional<Inode> inode = context.load<Inode>(inode_key(current));
    reply.data_version = inode ? inode->data_version : 0;
  } else {
    reply.rows.resize(of_current);
    reply.next = begin_of_current;
  }
  return reply;
}

Result<AuditPendingReply> read_pending(const ReadContext& context, const AuditPending&) {
  AuditPendingReply reply;
  const auto count = [&](Table table, auto&& look) {
    const std::string prefix = key_of_table(table);
    u64 rows = 0;
    context.scan(prefix, prefix, [&](std::string_view, std::string_view value) {
      look(value);
      return ++rows < kRowsMost;
    });
    return rows;
  };
  const auto older = [](Hlc& oldest, Hlc at) { oldest = oldest == Hlc{} ? at : std::min(oldest, at); };
  reply.outbox = count(Table::outbox, [&](std::string_view value) {
    older(reply.oldest_message, decoded<CommandEntry>(value).hlc);
  });
  reply.prepared = count(Table::prepared, [&](std::string_view value) {
    older(reply.oldest_prepared, decoded<Prepare>(value).at);
  });
  reply.decisions = count(Table::decision, [&](std::string_view value) {
    older(reply.oldest_decision, decoded<DecisionRecord>(value).decided);
  });
  reply.locks = count(Table::lock, [](std::string_view) {});
  reply.purges = count(Table::purge, [](std::string_view) {});
  reply.orphans = count(Table::orphan, [](std::string_view) {});
  return reply;
}

Result<Nothing> apply_repair_inode(ApplyContext& context, const RepairInode& op) {
  TRY_ASSIGN(Inode inode, load_inode(context, op.inode));
  if (inode.changed != op.if_changed) return fail(Errc::conflict, "the inode changed meanwhile");
  inode.nlink = op.nlink;
  if (op.size && inode.type == FileType::directory) inode.size = *op.size;
  if (op.parent && inode.type == FileType::directory) inode.parent = *op.parent;
  store_inode(context, inode);
  return Nothing{};
}

Result<Nothing> apply_repair_dentry(ApplyContext& context, const RepairDentry& op) {
  TRY(check_name(op.name));
  TRY_ASSIGN(Inode directory, load_directory(context, op.directory));
  TRY(check_holds(context, directory, op.name));
  const std::optional<DentrySlot> slot = find_dentry(context, op.directory, op.name);
  if (op.add) {
    if (slot) return fail(Errc::exists, "the name is taken");
    if (!dentry_fits(context, op.directory, op.name)) return fail(Errc::no_space, "no slot for the name");
    insert_dentry(context, op.directory, Dentry{op.name, op.leads_to, op.type}, cookie_of(op.name));
    ++directory.size;
    directory.nlink += op.type == FileType::directory ? 1 : 0;
  } else {
    if (!slot || slot->dentry.inode != op.leads_to)
      return fail(Errc::conflict, "the entry changed meanwhile");
    remove_dentry(context, op.directory, slot->cookie);
    if (directory.size != 0) --directory.size;
    if (slot->dentry.type == FileType::directory && directory.nlink > 2) --directory.nlink;
  }
  directory.changed = std::max(directory.changed, context.now());
  store_inode(context, directory);
  return Nothing{};
}

}  // namespace

void register_audit(OperationTable& table) {
  table.query<AuditInodes>(read_inodes);
  table.query<AuditDentries>(read_dentries);
  table.query<AuditExtents>(read_extents);
  table.query<AuditPending>(read_pending);
  table.command<RepairInode>(apply_repair_inode);
  table.command<RepairDentry>(apply_repair_dentry);
}

}  // namespace claudefs::meta
