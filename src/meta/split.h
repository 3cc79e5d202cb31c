// When directories are split over several shards, and when they come together:
// docs/architecture/directories.md.
#pragma once

#include <memory>

#include "base/ids.h"
#include "runtime/executor.h"

namespace claudefs::meta {

struct SplitFigures {  // of this process, as a leader
  u64 splits = 0;
  u64 merges = 0;
};
// Tests and the simulator lower the numbers.
struct SplitPolicy {
  u64 split_at = 16384;    // entries of a directory, or of one of its fragments
  u64 merge_below = 4096;  // together, of a fragment and the range before it
  u64 hot_from = 1024;     // entries: a directory with fewer is not split however hot it is
  u64 hot_changes = 200;   // a second, and half of its shard's
  runtime::Duration quiet_for{30'000'000'000};  // before a small fragment goes
  std::shared_ptr<SplitFigures> figures = {};   // may be none
};

}  // namespace claudefs::meta
