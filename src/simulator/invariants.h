// What must hold inside the servers once nothing is under way: no transaction left, outboxes empty, replicas
// equal, counts equal to a recount, every shard of every segment where the table says.
#pragma once

#include <functional>

#include "simulator/cluster.h"

namespace claudefs::simulator {

using Complain = std::function<void(std::string)>;

// Runs the world until transactions and messages have ended everywhere; complains when they do not.
void await_quiet(Cluster& cluster, runtime::Duration limit, const Complain& complain);
// Compares replicas at equal indices, and references with a recount. Requires quiet.
void check_replicas(Cluster& cluster, runtime::Duration limit, const Complain& complain);
// No inode without a volume, and what was deleted is gone.
void check_volumes(Cluster& cluster, runtime::Duration limit, const Complain& complain);
void check_references(Cluster& cluster, runtime::Duration limit, const Complain& complain);
// What quotas take to be used is what the inodes cost, no shard uses more of a limit than it holds, and
// together they hold what was granted.
void check_quota(Cluster& cluster, const Complain& complain);
// Runs the world until every sealed segment has all its shards in place.
void await_redundancy(Cluster& cluster, runtime::Duration limit, const Complain& complain);
// What is sealed is whole from that moment on: every shard at its holder, also while there are faults. Those
// of `damaged`, whose disk may have lost some, and of holders and shards that nobody can tell of now are left
// out.
void check_sealed(Cluster& cluster, std::optional<u32> damaged, const Complain& complain);
// Flips a bit in a few shards that a server holds and that are needed; nobody has read them since.
void damage_at_rest(Cluster& cluster, Server& server, sim::RandomStream& random);
// Every server reads all it holds; then every shard of every sealed segment must be at its holder and check.
void scrub(Cluster& cluster, runtime::Duration limit, const Complain& complain);

}  // namespace claudefs::simulator
