// Splits directories that are large or hot and brings small fragments together, for the shards led here.
// docs/architecture/directories.md.
#pragma once

#include <map>

#include "meta/detail/records.h"
#include "meta/service/transaction.h"
#include "meta/split.h"

namespace claudefs::meta {

class DirectoryKeeper {
 public:
  // `service` and `coordinator` outlive it.
  DirectoryKeeper(ShardService& service, Coordinator& coordinator, SplitPolicy policy)
      : service_(service), coordinator_(coordinator), policy_(std::move(policy)) {}

  void note_changes(ShardId shard, const std::vector<InodeId>& inodes);
  // Leader task.
  runtime::Task<void> tend(ShardId shard, Term term);

 private:
  using Changes = std::map<InodeId, u64>;  // how many
  runtime::Task<void> split_some(ShardId shard, Changes changes);
  runtime::Task<void> merge_some(ShardId shard, Changes changes);
  std::vector<InodeId> quiet_and_small(ShardId shard, const Changes& changes);
  runtime::Task<Result<void>> split(ShardId shard, InodeId from);
  runtime::Task<Result<void>> merge(ShardId shard, InodeId fragment);
  Fragment new_fragment(InodeId directory, const FragmentMap& map, u64 first);

  ShardService& service_;
  Coordinator& coordinator_;
  SplitPolicy policy_;
  std::map<ShardId, Changes> changed_;               // since the last look
  std::map<InodeId, runtime::Instant> quiet_since_;  // small fragments
};

}  // namespace claudefs::meta
