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
  u64 fragments = 0;  // of split directories
  u64 entries = 0;    // of directories
  // Of extents to chunks, also of content that waits for its purge.
  std::map<codec::ChunkHash, u64> references;
  struct Quota {
    std::map<QuotaSubject, QuotaUse> charged;   // what the inodes cost
    std::map<QuotaSubject, QuotaUse> recorded;  // what quotas take that to be
    std::map<QuotaSubject, QuotaUse> allowed;   // held of limits
    std::map<QuotaSubject, QuotaUse> granted;   // of those whose home this is: to all shards
    std::map<QuotaSubject, i64> reserved;       // bytes that sessions may commit
    std::map<QuotaSubject, i64> reserves;       // the sums of what each was promised
    std::vector<QuotaSubject> beyond;           // that use and reserve more than is held
  } quota;
  std::set<VolumeId> volumes;   // of inodes, and of removed directories in the trash
  std::vector<Volume> records;  // of volumes, in shard 0
};
Census take_census(const ReadContext& shard);

}  // namespace claudefs::meta
