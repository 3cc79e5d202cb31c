// A subject's limits at its home shard, and what of them is granted to shards.
#include <algorithm>

#include "meta/detail/quota.h"
#include "meta/hlc.h"
#include "meta/ops/ops.h"

namespace claudefs::meta {
namespace {

constexpr QuotaUse kGrantMost{1 << 30, 65536};  // beyond what is asked for

void store_limit(ApplyContext& context, const QuotaSubject& subject, const QuotaLimitRecord& record) {
  std::string key = quota_key(Table::quota_limit, subject);
  const bool limited = record.limits.limits_bytes() || record.limits.limits_inodes();
  if (limited || !record.granted.is_nothing())
    context.store(std::move(key), record);
  else
    context.remove(std::move(key));
}

struct Limit {
  i64 value = 0;  // 0: none
  bool is_soft = false;
};
Limit limit_now(i64 hard, i64 soft, Hlc over_since, u64 grace_seconds, Hlc now) {
  const bool expired = soft != 0 && over_since != Hlc{} && now >= hlc_after(over_since, grace_seconds * 1000);
  if (expired && (hard == 0 || soft < hard)) return {soft, true};
  return {hard, false};
}

// What `need` gets of what is left; nothing when that is too little.
std::optional<i64> share(i64 need, const Limit& limit, i64 granted, i64 most, u16 shard_count) {
  if (need <= 0) return 0;
  if (limit.value == 0) return need + most;
  const i64 left = limit.value - granted - need;
  if (left < 0) return std::nullopt;
  return need + std::min(most, left / (2 * i64{shard_count}));
}

std::string text_of(const QuotaSubject& subject, const Limit& limit, std::string_view what) {
  return fmt::format("{} has reached its {}limit of {} {}", to_string(subject), limit.is_soft ? "soft " : "",
                     limit.value, what);
}

}  // namespace

QuotaLimitRecord load_limit(const ReadContext& context, const QuotaSubject& subject) {
  return context.load<QuotaLimitRecord>(quota_key(Table::quota_limit, subject)).value_or(QuotaLimitRecord{});
}

Result<RecordQuota::Reply> apply_record_quota(ApplyContext& context, const RecordQuota& op) {
  const QuotaLimits& limits = op.limits;
  if (std::min({limits.hard.bytes, limits.hard.inodes, limits.soft.bytes, limits.soft.inodes}) < 0)
    return fail(Errc::invalid_argument, "a limit below 0");
  QuotaLimitRecord record = load_limit(context, op.subject);
  record.limits = limits;
  record.version = context.hlc();
  if (limits.soft.bytes == 0) record.bytes_over_since = {};
  if (limits.soft.inodes == 0) record.inodes_over_since = {};
  store_limit(context, op.subject, record);
  const LimitSubject message{op.subject, limits.limits_bytes(), limits.limits_inodes(), record.version,
                             op.within};
  for (u16 shard = 0; shard < context.shard_count(); ++shard) context.emit(ShardId{shard}, message);
  return RecordQuota::Reply{record.version};
}

Result<GrantQuota::Reply> apply_grant_quota(ApplyContext& context, const GrantQuota& op) {
  QuotaLimitRecord record = load_limit(context, op.subject);
  const QuotaLimits& limits = record.limits;
  const Limit bytes_limit = limit_now(limits.hard.bytes, limits.soft.bytes, record.bytes_over_since,
                                      limits.grace_seconds, context.hlc());
  const Limit inodes_limit = limit_now(limits.hard.inodes, limits.soft.inodes, record.inodes_over_since,
                                       limits.grace_seconds, context.hlc());
  const auto bytes =
      share(op.need.bytes, bytes_limit, record.granted.bytes, kGrantMost.bytes, context.shard_count());
  if (!bytes) return GrantQuota::Reply{false, text_of(op.subject, bytes_limit, "bytes")};
  const auto inodes =
      share(op.need.inodes, inodes_limit, record.granted.inodes, kGrantMost.inodes, context.shard_count());
  if (!inodes) return GrantQuota::Reply{false, text_of(op.subject, inodes_limit, "inodes")};
  const QuotaUse given{*bytes, *inodes};
  record.granted += given;
  store_limit(context, op.subject, record);
  context.emit(op.shard, QuotaGranted{op.subject, given});
  return GrantQuota::Reply{true, {}};
}

Result<Nothing> apply_quota_moved(ApplyContext& context, const QuotaMoved& op) {
  QuotaLimitRecord record = load_limit(context, op.subject);
  record.granted += op.use;
  store_limit(context, op.subject, record);
  return Nothing{};
}

Result<Nothing> apply_mark_soft(ApplyContext& context, const MarkSoft& op) {
  QuotaLimitRecord record = load_limit(context, op.subject);
  const auto mark = [&](Hlc& since, bool over) {
    if (!over) since = {};
    if (over && since == Hlc{}) since = context.hlc();
  };
  mark(record.bytes_over_since, op.bytes_over);
  mark(record.inodes_over_since, op.inodes_over);
  store_limit(context, op.subject, record);
  return Nothing{};
}

Result<ListLimitsReply> read_limits(const ReadContext& context, const ListLimits&) {
  ListLimitsReply reply;
  const std::string prefix = key_of_table(Table::quota_limit);
  context.scan(prefix, prefix, [&](std::string_view key, std::string_view value) {
    Result<QuotaLimitRecord> record = wire::decode<QuotaLimitRecord>(as_bytes(value));
    CFS_CHECK(record.has_value());
    reply.rows.push_back({subject_of_quota_key(key), record->limits, record->granted,
                          record->bytes_over_since, record->inodes_over_since});
    return true;
  });
  return reply;
}

}  // namespace claudefs::meta
