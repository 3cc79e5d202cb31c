// What quotas say of a whole cluster, and setting them. docs/quotas.md.
#pragma once

#include <map>

#include "cluster/shard_call.h"
#include "meta/quota.h"

namespace claudefs::client {

struct QuotaLine {
  meta::QuotaUse use;
  meta::QuotaLimits limits;
  // Since when use is above the soft limits; 0: it is not.
  meta::Hlc bytes_over_since{};
  meta::Hlc inodes_over_since{};
};
using QuotaTable = std::map<meta::QuotaSubject, QuotaLine>;
// Everybody, over all shards; each shard at a moment of its own. Errors: the router's.
runtime::Task<Result<QuotaTable>> read_quotas(cluster::Router& router);

// New limits. In force when it ends, but that mounts may take half a second to hear of it. Errors:
// unavailable where some shards have not heard of them: those will when they are led again.
runtime::Task<Result<void>> set_quota(cluster::Router& router, meta::QuotaSubject subject,
                                      meta::QuotaLimits limits);

}  // namespace claudefs::client
