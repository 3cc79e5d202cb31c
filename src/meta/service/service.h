// The shards of a node: a dispatcher from requests to queries, commands and procedures.
#pragma once

#include <map>
#include <tuple>

#include "meta/service/lease_keeper.h"
#include "meta/shard_service.h"
#include "runtime/scope.h"

namespace claudefs::meta {

// One shard replicated here. Its address is stable while the service lives.
struct HostedShard {
  HostedShard(ShardId id_, std::unique_ptr<ShardMachine> machine_, runtime::Executor& executor)
      : id(id_), machine(std::move(machine_)), leadership_changed(executor), outbox_grew(executor) {}
  ShardId id;
  std::unique_ptr<ShardMachine> machine;
  Term leading{};  // 0: not the leader
  runtime::Condition leadership_changed;
  bool outbox_dirty = false;
  bool outbox_urgent = false;
  runtime::Condition outbox_grew;
  std::unique_ptr<runtime::Scope> tasks;  // while leading; only supervise() makes and destroys it
};

class Service final : public ShardService {
 public:
  Service(Parts parts, u16 shard_count);
  Result<void> add_shard(ShardId shard, std::vector<NodeId> members) override;
  void start() override;
  runtime::Task<cluster::ShardReply> execute(cluster::ShardRequest request) override;
  void add_procedure(u16 kind, Procedure procedure) override { procedures_[kind] = std::move(procedure); }
  void add_leader_task(LeaderTask task) override { leader_tasks_.push_back(std::move(task)); }
  void set_change_listener(ChangeListener listener) override { change_listener_ = std::move(listener); }
  runtime::Task<Result<Buffer>> propose(ShardId shard, u16 kind, cluster::RequestId id, Buffer body) override;
  runtime::Task<Result<void>> barrier(ShardId shard) override { return parts_.raft.read_barrier(shard); }
  runtime::Task<Result<Buffer>> call(ShardId shard, u16 kind, Buffer body) override;
  runtime::Env& env() override { return parts_.env; }
  u16 shard_count() const override { return shard_count_; }
  ShardMachine* machine(ShardId shard) override;
  bool leads(ShardId shard) const override;
  std::vector<ShardId> led() const override;
  runtime::Task<Result<void>> checkpoint() override;
  runtime::Task<void> stop() override;

 private:
  struct InFlight;
  class InFlightGuard;
  using InFlightKey = std::tuple<ShardId, SessionId, u64>;

  runtime::Task<cluster::ShardReply> execute_once(cluster::ShardRequest request);
  runtime::Task<cluster::ShardReply> execute_patiently(cluster::ShardRequest request);
  runtime::Task<Result<Buffer>> attempt(cluster::ShardRequest request, cluster::LeaseGrants* grants);
  runtime::Task<Result<Buffer>> execute_covered(cluster::ShardRequest request, Claims claims,
                                                cluster::LeaseGrants* grants);
  runtime::Task<Result<Buffer>> query(ShardId shard, u16 kind, Buffer body);
  runtime::Task<Result<Buffer>> query_covered(cluster::ShardRequest request, cluster::LeaseGrants* grants);
  cluster::ShardReply not_leader(ShardId shard) const;
  runtime::Task<void> supervise(HostedShard* shard);
  runtime::Task<void> checkpoint_now_and_then();

  Parts parts_;
  u16 shard_count_;
  std::map<ShardId, std::unique_ptr<HostedShard>> shards_;
  std::map<u16, Procedure> procedures_;
  std::vector<LeaderTask> leader_tasks_;
  ChangeListener change_listener_;
  std::map<InFlightKey, std::shared_ptr<InFlight>> in_flight_;
  LeaseKeeper leases_;
  bool started_ = false;
  runtime::Scope scope_;
};

// Leader task: delivers the shard's outbox to the other shards, in order for each.
runtime::Task<void> pump_outbox(ShardService& service, HostedShard& shard);

}  // namespace claudefs::meta
