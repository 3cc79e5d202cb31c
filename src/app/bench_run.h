// Measures a directory as its users would feel it: works on any file system, so that ours stands beside
// others.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"

namespace claudefs::app {

struct BenchOptions {
  std::string directory;
  unsigned threads = 8;       // of the parallel rows
  u64 big_bytes = 1_GiB;      // a thread's share of the big file is big_bytes / threads
  unsigned files = 1000;      // a thread, in metadata rows
  u64 small_bytes = 128_KiB;  // a small file
  unsigned small_files = 100;
};

struct BenchRow {
  std::string what;
  std::string unit;       // MB/s, files/s, ops/s
  double one = 0;         // one thread
  double many = 0;        // `threads` threads
  double one_p50_ms = 0;  // time of one operation on one thread, median
  double one_p99_ms = 0;
};

// Leaves nothing behind. `progress` is told before each step. Errors name the call and file that failed.
Result<std::vector<BenchRow>> run_bench(const BenchOptions& options,
                                        std::function<void(const std::string&)> progress);

}  // namespace claudefs::app
