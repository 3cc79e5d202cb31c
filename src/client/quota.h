// What quotas say of a whole cluster. docs/quotas.md.
#pragma once

#include <map>

#include "cluster/shard_call.h"
#include "meta/quota.h"

namespace claudefs::client {

// What everybody is charged, over all shards; each shard at a moment of its own. Errors: the router's.
runtime::Task<Result<std::map<meta::QuotaSubject, meta::QuotaUse>>> read_quota_use(cluster::Router& router);

}  // namespace claudefs::client
