// Crash tests at every write to a device, by the method of CrashMonkey (Mohan et al., OSDI 2018): a few
// operations run on a small file system, the disks are recorded, and power is lost at each moment at which
// something on a disk or what a client was promised has changed, in each way in which what was not flushed
// may be there or not. Every such crash state is started from, in a world of its own, and judged: what was
// synced is there, nothing is that nobody wrote, what was under way happened or did not, and fsck finds
// nothing.
#pragma once

#include <memory>
#include <set>

#include "sim/disk_image.h"
#include "simulator/script.h"
#include "simulator/workload.h"

namespace claudefs::simulator {

struct CrashReport {
  u64 moments = 0;  // at which power was lost
  u64 states = 0;   // different ones that were started from and judged
  std::vector<std::string> violations;
};

class CrashTests {
 public:
  // Makes the file system that all workloads begin with, on so many servers.
  explicit CrashTests(u32 servers);
  ~CrashTests();

  struct Options {
    u64 drawn = 4;            // ways of losing writes that are drawn, beside those that are listed
    u64 again = 16;           // from one of so many states power is lost again while the servers recover
    std::optional<u64> only;  // this state alone, with a trace
    Trace trace;
  };
  // `operations` are indices into operation_scripts(), one after the other. Without any, power is lost while
  // the servers start.
  CrashReport run(const std::vector<std::size_t>& operations, const Options& options) const;

 private:
  struct Moment {
    runtime::Instant at;
    std::vector<sim::DiskImage> disks;
    std::size_t struck = 0;  // the server whose disk changed
    std::shared_ptr<const Workload::Knowledge> known;
    u64 history = 0;  // differs where the disks or the knowledge came about in another way
  };
  struct Recording;
  struct Search;
  using Fates = std::vector<sim::DiskImage::Fate>;
  static std::vector<Fates> ways_to_lose(std::size_t unflushed, u64 drawn, sim::RandomStream& random);
  std::vector<Moment> record(const std::vector<std::size_t>& operations, CrashReport& report) const;
  void try_all(const std::vector<Moment>& moments, bool again, Search& search) const;
  // Gives the moments of the recovery when they are wanted.
  std::vector<Moment> judge(const Moment& after, const std::string& name, bool wants_moments,
                            Search& search) const;

  const u32 servers_;
  runtime::Instant began_;  // of the disks below
  std::vector<sim::DiskImage> disks_;
  std::shared_ptr<const Workload::Knowledge> known_;
};

}  // namespace claudefs::simulator
