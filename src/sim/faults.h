// Which faults a simulated world has, and how often. Rates are per million of the operation named.
#pragma once

#include <string>

#include "base/ids.h"
#include "runtime/executor.h"

namespace claudefs::sim {

struct FaultOptions {
  // Network, one way. A slow segment takes a hundred times longer.
  runtime::Duration network_delay_min = std::chrono::microseconds(50);
  runtime::Duration network_delay_max = std::chrono::microseconds(500);
  u32 slow_segment = 0;       // of segments sent
  u32 segment_corrupted = 0;  // of segments sent: one bit arrives flipped
  u32 connection_reset = 0;   // of segments sent: both ends lose the connection and what is in flight

  // Disk.
  runtime::Duration disk_delay_min = std::chrono::microseconds(20);
  runtime::Duration disk_delay_max = std::chrono::microseconds(400);
  u32 slow_io = 0;           // of reads, writes, flushes: a hundred times longer
  u32 hung_io = 0;           // of them: 1 to 30 s
  u32 misdirected_read = 0;  // of reads: what lies some sectors further on
  u32 stale_read = 0;        // of reads: what the last flush left there
  u32 read_error = 0;        // of reads: io_error
  u32 write_error = 0;       // of writes: io_error; what was to be written may be there in part
  u32 flush_error = 0;       // of flushes: io_error; what was written since the last one may never be durable
  u32 bit_flip = 0;          // of reads: one bit of the range has flipped at rest, and stays so
  u64 disk_bytes = 64_GiB;   // writes beyond it: no_space

  // A crash. Every unflushed write is, independently, lost or torn at 512-byte atoms at these rates; unsynced
  // directory operations are lost from a random point on.
  u32 crash_loses_write = 500'000;
  u32 crash_tears_write = 200'000;
  u32 crash_loses_directory_operation = 300'000;

  // Wall clocks differ from the world's by at most this, fixed per node at its creation.
  runtime::Duration clock_skew_max{0};
  // Clocks, monotonic and wall, run faster or slower than the world's by at most so many millionths,
  // likewise.
  u32 clock_drift_max = 0;

  std::string to_string() const;  // for the log line of a failing seed
};

// The swarm rule: each kind of fault is on or off by a coin, its rate log-uniform from 1 to 16384 per
// million. The same seed gives the same options.
FaultOptions draw_faults(u64 seed);

}  // namespace claudefs::sim
