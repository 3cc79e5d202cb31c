// Disks that forget what they promised to keep, or that come to the wrong machine: struck in calm and under
// load.
#pragma once

#include "simulator/cluster.h"
#include "simulator/invariants.h"
#include "simulator/run.h"
#include "simulator/workload.h"

namespace claudefs::simulator {

class DiskFaults {
 public:
  // `victim`: whose disk forgets, or is swapped with another's.
  DiskFaults(Cluster& cluster, Workload& workload, Server& victim, sim::RandomStream random)
      : cluster_(cluster), workload_(workload), victim_(victim), random_(random) {}
  // Runs the world; at the end all servers have been started again.
  void strike(DiskFault fault, const Complain& complain);

 private:
  void forget_flushes();
  void roll_back();
  void swap(const Complain& complain);
  void run_a_while(runtime::Duration most) { cluster_.world().run_for(random_.between_times({}, most)); }

  Cluster& cluster_;
  Workload& workload_;
  Server& victim_;
  sim::RandomStream random_;
};

}  // namespace claudefs::simulator
