#include "simulator/quota_limits.h"

#include "meta/quota.h"
#include "meta/volumes.h"

namespace claudefs::simulator {

using namespace std::chrono_literals;

namespace {

// Mostly small: some are used up at once, some never.
meta::QuotaLimits draw_limits(sim::RandomStream& random) {
  meta::QuotaLimits out;
  if (random.chance(250'000)) return out;
  if (random.coin()) out.hard.bytes = static_cast<i64>(u64{4096} << random.between(0, 10));
  if (random.coin()) out.hard.inodes = static_cast<i64>(random.between(1, 40));
  if (random.chance(250'000)) out.soft.inodes = static_cast<i64>(random.between(1, 20));
  out.grace_seconds = random.between(0, 60);
  return out;
}

meta::QuotaSubject draw_subject(sim::RandomStream& random, VolumeId volume) {
  const u64 kind = random.between(0, 9);
  if (kind == 0) return {meta::QuotaKind::volume, volume, 0};
  if (kind < 7) return {meta::QuotaKind::user, volume, random.between(0, 4)};
  return {meta::QuotaKind::group, volume, random.between(0, 2)};
}

runtime::Task<void> set_later(Server* server, runtime::Duration after, meta::SetQuota op) {
  co_await server->machine->executor().sleep(after);
  if (!server->serves()) co_return;
  meta::ShardService& service = server->node->service();
  (void)co_await service.call_op(meta::home_of(op.subject, service.shard_count()), op).result();
}

}  // namespace

void change_limits(Cluster& cluster, const Plan& plan, u32 round) {
  sim::RandomStream random(plan.seed, "limits", round);
  // The one in which everybody works: the second is the first that is made.
  const VolumeId volume{meta::kDefaultVolume.value + (plan.cluster.second_volume ? 1 : 0)};
  for (u32 i = 0; i < plan.limits; ++i) {
    Server& server = *cluster.servers()[random.between(0, cluster.servers().size() - 1)];
    const runtime::Duration after = random.between_times(0s, plan.round_time);
    const meta::QuotaSubject subject = draw_subject(random, volume);
    const meta::SetQuota op{subject, draw_limits(random)};
    if (server.serves()) server.scope->spawn(set_later(&server, after, op));
  }
}

}  // namespace claudefs::simulator
