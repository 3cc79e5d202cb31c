// What inodes cost, listed and counted anew.
#include "meta/quota.h"

#include <algorithm>

#include "meta/detail/keys.h"
#include "meta/detail/quota.h"
#include "meta/detail/records.h"
#include "meta/ops/ops.h"

namespace claudefs::meta {
namespace {

constexpr u32 kRowsMost = 4096;
constexpr std::size_t kDifferencesMost = 1000;  // told; all are mended

using Sums = std::map<QuotaSubject, QuotaUse>;
Sums sums_in(const ReadContext& context, Table table) {
  Sums out;
  const std::string prefix = key_of_table(table);
  context.scan(prefix, prefix, [&](std::string_view key, std::string_view value) {
    const Result<QuotaRecord> record = wire::decode<QuotaRecord>(as_bytes(value));
    CFS_CHECK(record.has_value());
    out[subject_of_quota_key(key)] = record->use;
    return true;
  });
  return out;
}

void drop_recount(ApplyContext& context) {
  for (const auto& [subject, use] : sums_in(context, Table::quota_recount))
    context.remove(quota_key(Table::quota_recount, subject));
  context.remove(recount_key());
}

// True: there are no more.
bool count_some(ApplyContext& context, RecountRecord& recount, u32 inodes_max) {
  bool end = true;
  u32 seen = 0;
  Sums sums;
  context.scan(key_of_table(Table::inode), inode_key(InodeId{recount.through.value + 1}),
               [&](std::string_view, std::string_view value) {
                 end = seen < inodes_max;
                 if (!end) return false;
                 const Result<Inode> inode = wire::decode<Inode>(as_bytes(value));
                 CFS_CHECK(inode.has_value());
                 const Charge charge = charge_of(*inode);
                 if (charge.use.inodes != 0)
                   for (const QuotaSubject& subject : subjects_of(context, charge))
                     sums[subject] += charge.use;
                 recount.through = inode->id;
                 ++seen;
                 return true;
               });
  recount.inodes += seen;
  for (const auto& [subject, use] : sums) add_use(context, Table::quota_recount, subject, use);
  return end;
}

void compare(ApplyContext& context, bool repair, RecountQuotaReply& reply) {
  const Sums recorded = sums_in(context, Table::quota_use);
  const Sums counted = sums_in(context, Table::quota_recount);
  std::map<QuotaSubject, std::pair<QuotaUse, QuotaUse>> both;
  for (const auto& [subject, use] : recorded) both[subject].first = use;
  for (const auto& [subject, use] : counted) both[subject].second = use;
  for (const auto& [subject, uses] : both) {
    const auto& [was, is] = uses;
    if (was == is) continue;
    if (reply.differences.size() < kDifferencesMost) reply.differences.push_back({subject, was, is});
    if (!repair) continue;
    add_use(context, Table::quota_use, subject, -was);
    add_use(context, Table::quota_use, subject, is);
  }
}

}  // namespace

Result<ListQuotaReply> read_quota(const ReadContext& context, const ListQuota& op) {
  ListQuotaReply reply;
  const u32 rows_max = std::clamp<u32>(op.rows_max, 1, kRowsMost);
  reply.end = true;
  const std::string after = quota_key(Table::quota_use, op.after);
  context.scan(key_of_table(Table::quota_use), after, [&](std::string_view key, std::string_view value) {
    if (key == after) return true;
    reply.end = reply.rows.size() < rows_max;
    if (!reply.end) return false;
    const Result<QuotaRecord> record = wire::decode<QuotaRecord>(as_bytes(value));
    CFS_CHECK(record.has_value());
    reply.rows.push_back({subject_of_quota_key(key), record->use});
    return true;
  });
  return reply;
}

Result<RecountQuotaReply> apply_recount_quota(ApplyContext& context, const RecountQuota& op) {
  std::optional<RecountRecord> recount = context.load<RecountRecord>(recount_key());
  if (op.run == 0) {
    drop_recount(context);
    recount = RecountRecord{context.next("recount"), {}, 0};
  }
  if (!recount || (op.run != 0 && recount->run != op.run))
    return fail(Errc::conflict, "another recount of this shard has begun; begin again");
  RecountQuotaReply reply;
  reply.end = count_some(context, *recount, std::clamp<u32>(op.inodes_max, 1, kRowsMost));
  reply.run = recount->run;
  reply.inodes = recount->inodes;
  if (!reply.end) {
    context.store(recount_key(), *recount);
    return reply;
  }
  compare(context, op.repair, reply);
  drop_recount(context);
  return reply;
}

}  // namespace claudefs::meta
