#include "client/quota.h"

namespace claudefs::client {

runtime::Task<Result<std::map<meta::QuotaSubject, meta::QuotaUse>>> read_quota_use(cluster::Router& router) {
  co_await router.refresh();
  std::map<meta::QuotaSubject, meta::QuotaUse> sums;
  for (u16 shard = 0; shard < router.shard_count(); ++shard) {
    meta::ListQuota op;
    for (bool end = false; !end;) {
      const meta::ListQuotaReply page = co_await router.call(ShardId{shard}, op);
      for (const meta::ListQuotaReply::Row& row : page.rows) sums[row.subject] += row.use;
      end = page.end || page.rows.empty();
      if (!end) op.after = page.rows.back().subject;
    }
  }
  co_return sums;
}

}  // namespace claudefs::client
