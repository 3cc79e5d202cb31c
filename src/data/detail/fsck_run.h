// One run of fsck: what its parts share.
#pragma once

#include <map>
#include <unordered_map>

#include "data/audit.h"
#include "data/detail/nodes.h"
#include "data/fsck.h"
#include "meta/audit.h"

namespace claudefs::data {

struct FsckRun {
  runtime::Env& env;
  cluster::Router& router;
  Nodes nodes;
  FsckOptions options;
  std::function<void(const FsckProgress&)> progress;
  FsckReport report;

  u16 shards() const { return router.shard_count(); }
  void found(std::string kind, std::string text, bool repaired = false) {
    report.findings.push_back({std::move(kind), std::move(text), repaired});
  }
  // A moment of every shard: each later command of shard i is stamped above clock[i].
  using Stamps = std::vector<Hlc>;
  runtime::Task<Result<Stamps>> stamp();
  // Whatever was emitted up to these moments has been applied by its receivers.
  runtime::Task<Result<void>> drain(Stamps until);
  // stamp, drain.
  runtime::Task<Result<void>> settle();
};

// The parts. Each adds to run.report. Errors: a shard does not answer.
runtime::Task<Result<void>> check_references(FsckRun& run);
runtime::Task<Result<void>> check_segments(FsckRun& run);
runtime::Task<Result<void>> check_names(FsckRun& run);
runtime::Task<Result<void>> check_quota(FsckRun& run);
runtime::Task<Result<void>> check_pending(FsckRun& run);

}  // namespace claudefs::data
