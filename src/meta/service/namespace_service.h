// The namespace's procedures and leader tasks, one object a node.
#pragma once

#include <map>

#include "meta/hlc.h"
#include "meta/service/transaction.h"
#include "meta/trash.h"

namespace claudefs::meta {

class NamespaceService {
 public:
  NamespaceService(ShardService& service, TrashPolicy trash)
      : service_(service), trash_(std::move(trash)), coordinator_(service) {}

  Coordinator& coordinator() { return coordinator_; }

  // Procedures: service/procedures.cpp.
  runtime::Task<Result<Buffer>> make_directory(ShardId shard, cluster::RequestId id, Buffer body);
  runtime::Task<Result<Buffer>> unlink(ShardId shard, cluster::RequestId id, Buffer body);
  runtime::Task<Result<Buffer>> remove_directory(ShardId shard, cluster::RequestId id, Buffer body);
  runtime::Task<Result<Buffer>> rename(ShardId shard, cluster::RequestId id, Buffer body);
  runtime::Task<Result<Buffer>> link(ShardId shard, cluster::RequestId id, Buffer body);
  runtime::Task<Result<Buffer>> restore_file(ShardId shard, cluster::RequestId id, Buffer body);
  runtime::Task<Result<Buffer>> create_volume(ShardId shard, cluster::RequestId id, Buffer body);
  runtime::Task<Result<Buffer>> delete_volume(ShardId shard, cluster::RequestId id, Buffer body);
  runtime::Task<Result<Buffer>> gather_fragments(ShardId shard, cluster::RequestId id, Buffer body);
  runtime::Task<Result<Buffer>> set_attributes(ShardId shard, cluster::RequestId id, Buffer body);
  runtime::Task<Result<Buffer>> set_xattr(ShardId shard, cluster::RequestId id, Buffer body);
  runtime::Task<Result<Buffer>> remove_xattr(ShardId shard, cluster::RequestId id, Buffer body);
  runtime::Task<Result<Buffer>> open_session(ShardId shard, cluster::RequestId id, Buffer body);
  runtime::Task<Result<Buffer>> hold_open(ShardId shard, cluster::RequestId id, Buffer body);

  // Leader tasks: service/leader_tasks.cpp, service/purge_volumes.cpp.
  runtime::Task<void> format(ShardId shard, Term term);
  runtime::Task<void> clean_up(ShardId shard, Term term);
  runtime::Task<void> resolve_prepared(ShardId shard, Term term);
  runtime::Task<void> empty_volumes(ShardId shard, Term term);  // deleted ones

 private:
  template <class Op, class MakePlan>
  runtime::Task<Result<Buffer>> run_planned(ShardId shard, cluster::RequestId id, Op op, MakePlan make_plan);
  template <class Op, class MakePlan>
  runtime::Task<Result<Buffer>> change_directory(ShardId shard, cluster::RequestId id, Buffer body,
                                                 MakePlan make_plan);
  runtime::Task<Result<Buffer>> gather_and_plan_again(std::vector<InodeId> directories);
  Result<Buffer> again_if_overtaken(ShardId shard, InodeId parent, Result<Buffer> done);
  runtime::Task<Result<void>> purge(ShardId shard, runtime::Instant leading_since);
  runtime::Task<Result<void>> expire(ShardId shard);
  runtime::Task<Result<void>> empty_trash(ShardId shard, bool look_at_space);
  runtime::Task<Result<void>> purge_volumes(ShardId shard);
  runtime::Task<Result<bool>> purge_volume_once(ShardId shard, VolumeId volume);
  runtime::Task<Result<void>> purge_of_volume(ShardId shard, PurgeVolume op);
  runtime::Task<Result<void>> resolve(ShardId shard, Prepare prepared);
  std::vector<InodeId> purgeable(ShardId shard, runtime::Instant leading_since);
  Time now() { return time_of(hlc_of(service_.env().wall_now())); }

  ShardService& service_;
  TrashPolicy trash_;
  std::map<ShardId, TrashPlace> trash_looked_at_;  // for what is due
  Coordinator coordinator_;
  std::map<std::pair<InodeId, SessionId>, runtime::Instant> held_open_;  // when the session last said so
  bool is_held(ShardId shard, InodeId inode) const;
  bool keeps_what_leaves(ShardId shard, InodeId directory) const;
};

}  // namespace claudefs::meta
