// Goal: what nodes and clients of today say to each other can be read by those that come later.
#include "wire/tests/golden.h"
#include "cluster/membership.h"
#include "cluster/shard_call.h"

namespace claudefs::cluster {
namespace {

TEST(Golden, Messages) {
  wire::GoldenLines lines("cluster.txt");
  lines.check_with_reply<Heartbeat>("Heartbeat");
  lines.check_with_reply<GetMap>("GetMap");
  lines.check_with_reply<ShardRequest>("ShardRequest");
}

}  // namespace
}  // namespace claudefs::cluster
