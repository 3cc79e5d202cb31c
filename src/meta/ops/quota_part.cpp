// A shard's part of a subject's limit: what it hears of it, what it gives back, what sessions reserve of it.
#include "meta/detail/locks.h"
#include "meta/detail/namespace.h"
#include "meta/detail/quota.h"
#include "meta/ops/ops.h"

namespace claudefs::meta {
namespace {

void note_limited(ApplyContext& context, bool was, bool is) {
  LimitedRecord limited = context.load<LimitedRecord>(limited_key()).value_or(LimitedRecord{});
  limited.rows += is ? 1 : 0;
  limited.rows -= was ? 1 : 0;
  limited.changed = context.hlc();
  if (limited.rows != 0)
    context.store(limited_key(), limited);
  else
    context.remove(limited_key());
}

void tell_home(ApplyContext& context, const QuotaSubject& subject, const QuotaUse& moved) {
  if (!moved.is_nothing()) context.emit(home_of(subject, context.shard_count()), QuotaMoved{subject, moved});
}

}  // namespace

// What is used when a limit comes is held from then on; what is held when it goes is given back.
Result<Nothing> apply_limit_subject(ApplyContext& context, const LimitSubject& op) {
  QuotaRecord record = load_quota(context, op.subject);
  const bool was_limited = record.is_limited();
  QuotaUse moved;
  if (op.bytes != record.bytes_limited) {
    moved.bytes = op.bytes ? record.use.bytes + record.reserved : -record.allowed.bytes;
    record.bytes_limited = op.bytes;
  }
  if (op.inodes != record.inodes_limited) {
    moved.inodes = op.inodes ? record.use.inodes : -record.allowed.inodes;
    record.inodes_limited = op.inodes;
  }
  record.allowed += moved;
  record.version = op.version;
  record.within = op.within;
  if (!moved.is_nothing() || !was_limited) record.limited_since = context.hlc();
  note_limited(context, was_limited, record.is_limited());
  store_quota(context, op.subject, record);
  tell_home(context, op.subject, moved);
  return Nothing{};
}

Result<Nothing> apply_make_quota_directory(ApplyContext& context, const MakeQuotaDirectory& op) {
  TRY(check_free(context, inode_lock(op.directory), true));
  TRY_ASSIGN(Inode inode, load_directory(context, op.directory));
  if (inode.quota_directory == op.directory) return Nothing{};
  if (inode.size != 0) return fail(Errc::not_empty);
  if (is_split(inode)) return fail(Errc::busy, "the directory has just been split");
  inode.quota_directory = op.directory;
  inode.changed = std::max(inode.changed, context.now());
  store_inode(context, inode);
  return Nothing{};
}

Result<Nothing> apply_quota_granted(ApplyContext& context, const QuotaGranted& op) {
  QuotaRecord record = load_quota(context, op.subject);
  // Nothing limits it any more: back it goes.
  const QuotaUse back{record.bytes_limited ? 0 : -op.use.bytes, record.inodes_limited ? 0 : -op.use.inodes};
  record.allowed += op.use;
  record.allowed += back;
  store_quota(context, op.subject, record);
  tell_home(context, op.subject, back);
  return Nothing{};
}

Result<ReturnQuota::Reply> apply_return_quota(ApplyContext& context, const ReturnQuota& op) {
  QuotaRecord record = load_quota(context, op.subject);
  const QuotaUse unused = unused_of(record);
  record.allowed += -unused;
  store_quota(context, op.subject, record);
  tell_home(context, op.subject, -unused);
  return ReturnQuota::Reply{unused};
}

Result<ReadQuotaRow::Reply> read_quota_row(const ReadContext& context, const ReadQuotaRow& op) {
  const QuotaRecord record = load_quota(context, op.subject);
  return ReadQuotaRow::Reply{record.use, record.is_limited(), record.version};
}

Result<ReserveQuotaReply> apply_reserve_quota(ApplyContext& context, const ReserveQuota& op) {
  const SessionId session = context.request().session;
  if (op.release) {
    drop_reserve(context, op.inode, session);
    return ReserveQuotaReply{};
  }
  TRY_ASSIGN(const Inode inode, load_inode(context, op.inode));
  const std::string key = reserve_key(op.inode, session);
  ReserveRecord reserve = context.load<ReserveRecord>(key).value_or(ReserveRecord{});
  // Made anew: others may be limited since.
  drop_reserve(context, op.inode, session);
  reserve.subjects = limited_in_bytes(context, charge_of(inode));
  if (reserve.subjects.empty()) return ReserveQuotaReply{};
  const i64 least = reserve.bytes + static_cast<i64>(std::min<u64>(op.least, kFileSizeMax));
  i64 most = std::max(least, reserve.bytes + static_cast<i64>(std::min<u64>(op.most, kFileSizeMax)));
  for (const QuotaSubject& subject : reserve.subjects) {
    const QuotaRecord record = load_quota(context, subject);
    most = std::min(most, std::max(least, unused_of(record).bytes));
    if (const QuotaUse lack = lack_of(record, {least, 0}); lack.bytes != 0)
      (void)context.lacks(subject, {lack.bytes, 0});
  }
  const u64 more = static_cast<u64>(most - reserve.bytes);
  reserve.bytes = most;
  for (const QuotaSubject& subject : reserve.subjects) {
    QuotaRecord record = load_quota(context, subject);
    record.reserved += most;
    store_quota(context, subject, record);
  }
  context.store(key, reserve);
  return ReserveQuotaReply{true, more};
}

}  // namespace claudefs::meta
