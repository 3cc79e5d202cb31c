// One world for tests that follow a script: servers, a client, and the oracles.
#pragma once

#include <string>
#include <vector>

#include "sim/disk_image.h"
#include "simulator/workload.h"

namespace claudefs::simulator {

struct Stage {
  Stage(u32 servers, u64 seed, const Trace& given, bool fast_devices = false);

  // The time, and what lies on the servers' disks, before they start.
  void load(runtime::Instant at, const std::vector<sim::DiskImage>& disks);
  void start_servers();
  // False, and a violation, when it does not come true in time.
  bool reach(const std::string& what, runtime::Duration limit, const std::function<bool()>& holds);
  // Waits until the servers serve, and the client has a session.
  bool start(Client& client);
  // Runs the work on the client to its end.
  bool perform(Client& client, runtime::Task<void> work, runtime::Duration limit, const std::string& what);
  std::vector<sim::DiskImage> disks();

  Trace trace;
  Plan plan;
  Report report;
  Cluster cluster;  // clients()[0] is there, and not started
  Workload workload;
};

runtime::Task<void> stop_mount(Client* client);
// What fsck finds is a violation.
runtime::Task<void> check_with_fsck(Cluster* cluster, Workload* workload, sim::Node* machine);

}  // namespace claudefs::simulator
