#include "client/quota.h"

namespace claudefs::client {

using runtime::Task;

namespace {

Task<Result<void>> add_use(cluster::Router& router, ShardId shard, QuotaTable& out) {
  meta::ListQuota op;
  for (bool end = false; !end;) {
    const meta::ListQuotaReply page = co_await router.call(shard, op);
    for (const meta::ListQuotaReply::Row& row : page.rows) out[row.subject].use += row.use;
    end = page.end || page.rows.empty();
    if (!end) op.after = page.rows.back().subject;
  }
  co_return Result<void>();
}

Task<Result<void>> add_limits(cluster::Router& router, ShardId shard, QuotaTable& out) {
  const meta::ListLimitsReply reply = co_await router.call(shard, meta::ListLimits());
  for (const meta::ListLimitsReply::Row& row : reply.rows) {
    QuotaLine& line = out[row.subject];
    line.limits = row.limits;
    line.bytes_over_since = row.bytes_over_since;
    line.inodes_over_since = row.inodes_over_since;
  }
  co_return Result<void>();
}

}  // namespace

Task<Result<QuotaTable>> read_quotas(cluster::Router& router) {
  co_await router.refresh();
  QuotaTable out;
  for (u16 number = 0; number < router.shard_count(); ++number) {
    co_await add_use(router, ShardId{number}, out);
    co_await add_limits(router, ShardId{number}, out);
  }
  co_return out;
}

Task<Result<void>> set_quota(cluster::Router& router, meta::QuotaSubject subject, meta::QuotaLimits limits) {
  co_await router.refresh();
  const ShardId home = meta::home_of(subject, router.shard_count());
  const meta::SetQuotaReply reply = co_await router.call(home, meta::SetQuota(subject, limits));
  if (!reply.unheard.empty())
    co_return fail(
        Errc::unavailable,
        fmt::format("it is recorded, but {} shards have not heard of it yet, such as shard {}: they "
                    "will when they are led again; see `claudefs status`",
                    reply.unheard.size(), reply.unheard.front()));
  co_return Result<void>();
}

}  // namespace claudefs::client
