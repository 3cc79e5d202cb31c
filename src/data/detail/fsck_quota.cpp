// What each shard's inodes cost, counted anew by the shard itself: meta/quota.h.
#include "data/detail/fsck_run.h"
#include "meta/quota.h"

namespace claudefs::data {

using runtime::Task;

namespace {

constexpr int kAttempts = 3;  // another fsck may count too

Task<Result<meta::RecountQuotaReply>> recount(FsckRun& run, ShardId shard) {
  meta::RecountQuota op;
  op.repair = run.options.repair;
  for (int attempt = 1;;) {
    Result<meta::RecountQuotaReply> reply = co_await run.router.call(shard, op).result();
    if (!reply && reply.error().code == Errc::conflict && attempt++ < kAttempts) {
      op.run = 0;
      continue;
    }
    if (!reply || reply->end) co_return reply;
    op.run = reply->run;
  }
}

}  // namespace

Task<Result<void>> check_quota(FsckRun& run) {
  for (u16 i = 0; i < run.shards(); ++i) {
    run.progress({"quotas", i, run.shards()});
    const ShardId shard{i};
    const meta::RecountQuotaReply counted = co_await recount(run, shard);
    for (const meta::RecountQuotaReply::Difference& row : counted.differences)
      run.found("quota",
                fmt::format("shard {}: {} is charged {} bytes and {} inodes, and has {} and {}", shard,
                            to_string(row.subject), row.recorded.bytes, row.recorded.inodes,
                            row.counted.bytes, row.counted.inodes),
                run.options.repair);
  }
  co_return Result<void>();
}

}  // namespace claudefs::data
