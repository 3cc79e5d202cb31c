#include <fmt/format.h>

#include "simulator/chaos.h"
#include "simulator/run.h"

namespace claudefs::simulator {

using namespace std::chrono_literals;

namespace {

// Only the kinds that the whole cluster shares: disks other than the victim's keep what they were told.
sim::FaultOptions without_damage(sim::FaultOptions faults) {
  faults.read_error = faults.write_error = faults.flush_error = faults.bit_flip = 0;
  faults.misdirected_read = faults.stale_read = 0;
  return faults;
}

Plan draw(u64 seed, bool dense) {
  sim::RandomStream random(seed, "plan");
  Plan plan;
  plan.seed = seed;
  plan.dense = dense;
  plan.cluster.seed = seed;
  constexpr u32 kServers[] = {3, 3, 3, 3, 3, 1, 2, 4, 5, 6};
  plan.cluster.servers = kServers[random.between(0, std::size(kServers) - 1)];
  plan.cluster.clients = static_cast<u32>(random.between(1, dense ? 3 : 4));
  plan.cluster.shards = static_cast<u16>(u64{1} << random.between(0, 3));
  plan.lanes = static_cast<u32>(random.between(1, dense ? 2 : 3));
  plan.rounds = static_cast<u32>(random.between(1, 3));
  // Mixed: long and quiet or short and busy, and all between.
  const runtime::Duration shortest = 5s * (i64{1} << random.between(0, 6));
  plan.round_time = dense ? random.between_times(5s, 20s) : random.between_times(shortest, shortest * 2);
  plan.think_max =
      dense ? random.between_times(50ms, 1s) : random.between_times(1s, 30s) + plan.round_time / 10;
  plan.names = random.chance(300'000) ? 2 : 8;
  plan.directories_most = plan.names == 2 ? 2 : 10;
  if (random.chance(300'000)) plan.large_write_max = random.between(256_KiB, 3_MiB);
  plan.cluster.server_bytes = plan.large_write_max != 0 ? 2_GiB : 512_MiB;  // small ones start faster
  const sim::FaultOptions drawn = sim::draw_faults(seed);
  plan.faults = without_damage(drawn);
  plan.damage = plan.faults;
  if (plan.cluster.servers >= 3 && random.coin()) {
    plan.victim = static_cast<u32>(random.between(0, plan.cluster.servers - 1));
    plan.damage = drawn;
  }
  plan.fault_kinds = static_cast<u32>(random.next());
  plan.faults_most = static_cast<u32>(u64{1} << random.between(0, 5));
  if (plan.cluster.clients >= 2) plan.handovers = static_cast<u32>(random.between(0, 4));
  plan.cluster.kernel_pages = random.chance(750'000);
  plan.cluster.clock_skew_max = plan.faults.clock_skew_max;
  // Consensus bears 10 % between two clocks, client leases 20 %.
  const u64 drift_octave = u64{1} << random.between(0, 14);
  if (random.coin()) plan.cluster.clock_drift_max = static_cast<u32>(random.between(1, 2 * drift_octave - 1));
  if (plan.victim && random.coin()) plan.disk_fault = static_cast<DiskFault>(random.between(0, 2));
  plan.cluster.trash = random.chance(750'000);
  plan.cluster.few_proposals = random.chance(250'000);
  if (plan.cluster.servers > 3) plan.moves = static_cast<u32>(random.between(0, 4));
  if (random.chance(400'000)) plan.limits = static_cast<u32>(random.between(1, 12));
  sim::RandomStream apart(seed, "volumes");
  plan.volumes = apart.chance(400'000);
  plan.cluster.second_volume = apart.chance(300'000);
  sim::RandomStream devices(seed, "devices");
  plan.cluster.fast_devices = devices.chance(400'000);
  sim::RandomStream splits(seed, "splits");
  if (splits.chance(400'000)) plan.cluster.split_at = splits.between(2, 6);
  // The smaller, the more often files of the log are dropped, and who was away needs a snapshot.
  plan.cluster.raft_file_bytes = 256_KiB << devices.between(0, 4);
  return plan;
}

}  // namespace

Plan draw_plan(u64 seed) { return draw(seed, false); }
Plan draw_dense_plan(u64 seed) { return draw(seed, true); }

std::string Plan::to_string() const {
  std::string kinds;
  for (u32 kind = 0; kind < kFaultKinds; ++kind)
    if ((fault_kinds & (1u << kind)) != 0)
      kinds += fmt::format("{}{}", kinds.empty() ? "" : ", ", name_of(static_cast<FaultKind>(kind)));
  std::string out = fmt::format(
      "seed {}{}: {} servers, {} clients x {} lanes, {} shards, {} names; {} rounds of {} s, think up to {} "
      "ms, large "
      "writes up to {} "
      "bytes; {}{}{} hand-overs and up to {} scheduled faults a round of: {}; {}",
      seed, dense ? " (dense)" : "", cluster.servers, cluster.clients, lanes, cluster.shards, names, rounds,
      round_time / 1s, think_max / 1ms, large_write_max, cluster.kernel_pages ? "kernel pages, " : "",
      cluster.trash ? "a trash, " : "", handovers, faults_most, kinds, faults.to_string());
  if (cluster.clock_drift_max != 0)
    out += fmt::format("; clocks drift by up to {} ppm", cluster.clock_drift_max);
  if (moves != 0) out += fmt::format("; up to {} shards a round move", moves);
  if (limits != 0) out += fmt::format("; {} limits of quotas a round", limits);
  if (cluster.second_volume) out += "; in a second volume";
  if (volumes) out += "; volumes come and go";
  if (cluster.split_at != 0) out += fmt::format("; directories are split at {} entries", cluster.split_at);
  if (cluster.fast_devices) out += "; two devices a server";
  if (cluster.few_proposals) out += "; two commands a shard at once";
  if (disk_fault) out += fmt::format("; after the first round {}", name_of(*disk_fault));
  if (victim) out += fmt::format("; disk of server {}: {}", *victim + 1, damage.to_string());
  if (!skip_operations.empty() || !skip_faults.empty())
    out += fmt::format("; without {} operations and {} faults", skip_operations.size(), skip_faults.size());
  return out;
}

}  // namespace claudefs::simulator
