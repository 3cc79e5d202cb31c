// One run: a seed becomes a cluster, a workload and a schedule of faults; rounds of faults, healing and
// audit; at last everything restarts and is audited again.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "sim/faults.h"
#include "simulator/cluster.h"

namespace claudefs::simulator {

// What happens to disks between rounds, with everything healed and under load: a disk that forgets is that of
// the victim, and no other server loses anything before it has all again.
enum class DiskFault : u8 {
  lying_flush,  // flushes do nothing for a while, then the server crashes
  rolled_back,  // an older image is put back
  swapped,      // two servers start with each other's disk: they must refuse it
};
std::string_view name_of(DiskFault fault);

// What a seed expands to. The same plan gives the same run, event by event.
struct Plan {
  u64 seed = 0;
  ClusterOptions cluster;
  u32 lanes = 2;  // of operations at once, each client
  u32 rounds = 2;
  runtime::Duration round_time{};
  runtime::Duration think_max{};  // between a lane's operations: log-uniform up to it
  u32 names = 8;                  // in each directory: the fewer, the more clients meet
  u32 directories_most = 10;      // that operations go to
  u64 large_write_max = 0;        // 0: no large writes
  bool dense = false;
  bool volumes = false;       // clients make, use and delete some beside the one that they mount
  sim::FaultOptions faults;   // of the network, and of the disks' timing
  sim::FaultOptions damage;   // of the one server whose disk may be damaged; equal to `faults` for none
  std::optional<u32> victim;  // that server
  u32 fault_kinds = 0;        // bits: which scheduled faults (chaos.h) are on
  u32 faults_most = 0;        // scheduled ones, in each round
  std::optional<DiskFault> disk_fault;  // after the first round, in calm
  u32 moves = 0;                        // of a metadata shard to other servers, in each round
  u32 handovers = 0;          // of a file between two clients while its leader is struck, in each round
  u32 limits = 0;             // of quotas, set in each round
  bool wrong_oracle = false;  // the canary: the oracle is told one lie
  // What shrinking leaves out: operations by (client, lane, index), scheduled faults by (round, index),
  // hand-overs among them.
  std::set<std::tuple<u32, u32, u32>> skip_operations;
  std::set<std::pair<u32, u32>> skip_faults;

  std::string to_string() const;
};
Plan draw_plan(u64 seed);
Plan draw_dense_plan(u64 seed);

struct Report {
  u64 seed = 0;
  u64 trace_hash = 0;
  u64 events = 0;
  double simulated_seconds = 0;
  u64 operations = 0;          // verbs of the file system that were answered
  u64 lost_operations = 0;     // that had no definite answer
  u64 reads_failed = 0;        // during faults
  u64 namespace_unjudged = 0;  // 1 when too many orders were possible to go on judging
  std::map<std::string, u64> faults;
  std::map<std::string, u64> probes;  // that were reached (base/probe.h)
  std::vector<std::string> violations;
  // For shrinking: what was there to leave out.
  std::vector<std::tuple<u32, u32, u32>> operations_begun;
  std::vector<std::pair<u32, u32>> faults_begun;
};

using Trace = std::function<void(std::string line)>;
Report run(const Plan& plan, const Trace& trace = {});

}  // namespace claudefs::simulator
