// What one replica's shard holds, counted by walking all of it: for audits (the simulator, fsck). Costs a
// scan of the shard.
#pragma once

#include <map>
#include <set>

#include "meta/quota.h"
#include "meta/shard_machine.h"
#include "meta/volumes.h"

namespace claudefs::meta {

struct Census {
  u64 digest = 0;  // of every key and value: equal on replicas that applied the same entries
  u64 locks = 0;
  u64 prepared = 0;  // transactions of other shards that wait for their decision
  u64 outbox = 0;    // messages not delivered yet
  u64 inodes = 0;
  u64 entries = 0;  // of directories
  std::map<codec::ChunkHash, u64>
      references;                            // of extents to chunks, also of content that waits for its purge
  std::map<QuotaSubject, QuotaUse> charged;  // what the inodes cost
  std::map<QuotaSubject, QuotaUse> recorded;  // what quotas take that to be
  std::set<VolumeId> volumes;   // of inodes, and of removed directories in the trash
  std::vector<Volume> records;  // of volumes, in shard 0
};
Census take_census(const ReadContext& shard);

}  // namespace claudefs::meta
