// What `claudefs status` shows: asked of the cluster, as text for people or JSON for scripts.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "admin/describe.h"
#include "cluster/membership.h"
#include "cluster/shard_call.h"
#include "data/operations.h"
#include "data/scrub.h"
#include "net/rpc.h"
#include "runtime/env.h"

namespace claudefs::app {

struct StatusReport {
  std::string
      state;  // healthy, degraded (works, redundancy or a node is missing), unavailable (no quorum somewhere)
  cluster::ClusterMap map;
  std::vector<std::vector<std::string>> roles;      // by node of the map
  std::vector<std::vector<admin::Device>> devices;  // likewise; empty of one that does not answer
  data::StorageSummaryReply storage;
  meta::ShardUsageReply usage;
  data::ScrubReply scrub;  // of all nodes that answer; last_complete: the oldest
  u64 raw_used = 0;
  u64 raw_total = 0;
  u32 shards_without_leader = 0;
  std::vector<admin::Feature> features;
  std::vector<std::string> alerts;
};

runtime::Task<Result<StatusReport>> ask_status(runtime::Env& env, net::Client& rpc, cluster::Router& router);
std::string status_text(const StatusReport& report);
nlohmann::json status_json(const StatusReport& report);

}  // namespace claudefs::app
