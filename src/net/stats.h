// Counters of one Server or Client since it was made, for metrics. Monotonic but for the gauges.
#pragma once

#include "base/ids.h"

namespace claudefs::net {

struct Stats {
  u64 frames_sent = 0;
  u64 frames_received = 0;
  u64 bytes_sent = 0;  // on the wire, headers included
  u64 bytes_received = 0;
  u64 writes = 0;  // batches handed to streams
  u64 reads = 0;
  u64 calls_made = 0;
  u64 calls_timed_out = 0;
  u64 calls_lost = 0;     // ended by the loss of their connection
  u64 calls_served = 0;   // handlers started
  u64 calls_refused = 0;  // by a limit
  u64 connections_made = 0;
  u64 connections_refused = 0;  // hello failed
  u64 dials_failed = 0;
  u64 connections_open = 0;  // gauge
};

}  // namespace claudefs::net
