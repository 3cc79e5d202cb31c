// `claudefs fsck`: is the file system consistent in itself? Online, while clients go on. How what it reads is
// made comparable although it changes meanwhile: docs/fsck.md.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cluster/shard_call.h"
#include "net/rpc.h"
#include "runtime/env.h"

namespace claudefs::data {

struct FsckFinding {
  std::string kind;  // references, lost_chunk, delta_chain, live_bytes, lost_segment, shards, entry, links,
                     // directory, quota, pending
  std::string text;  // names the thing
  bool repaired = false;
};
struct FsckReport {
  u64 inodes = 0, entries = 0, extents = 0, chunks = 0, segments = 0;
  u64 split_directories = 0, fragments = 0;
  u64 undecided = 0;  // things that changed each time they were looked at
  std::vector<FsckFinding> findings;
  u64 found() const { return findings.size(); }
  u64 repaired() const;
};
struct FsckProgress {
  std::string phase;
  u64 done = 0;
  u64 total = 0;  // 0: not known
};
struct FsckOptions {
  bool repair = false;
  runtime::Duration stuck_after = std::chrono::seconds(60);  // what waits longer is a finding
};

// Errors: unavailable, timed_out (a shard has no leader, or messages between shards do not arrive).
runtime::Task<Result<FsckReport>> fsck(runtime::Env& env, net::Client& client, cluster::Router& router,
                                       FsckOptions options,
                                       std::function<void(const FsckProgress&)> progress);

}  // namespace claudefs::data
