// A node's shards at work: answers ShardRequest, proposes commands, runs queries behind a read barrier,
// drives transactions over shards, and runs each shard's background tasks while this node leads it.
#pragma once

#include <functional>
#include <memory>

#include "cluster/shard_call.h"
#include "meta/shard_machine.h"
#include "net/rpc.h"
#include "raft/host.h"
#include "runtime/env.h"

namespace claudefs::meta {

class ShardService {
 public:
  struct Parts {  // all outlive the service
    runtime::Env& env;
    raft::Host& raft;
    cluster::Router& router;
    net::MethodTable& methods;
    store::Kv& kv;
    OperationTable& table;
  };
  static std::unique_ptr<ShardService> create(Parts parts, u16 shard_count);
  virtual ~ShardService() = default;

  // Opens the shard's state and joins it to its Raft group. For every shard this node replicates; then
  // start().
  virtual Result<void> add_shard(ShardId shard, std::vector<NodeId> members) = 0;
  virtual void start() = 0;

  // One operation on a shard that this node may lead. Errors include not_leader (with leader_hint).
  virtual runtime::Task<cluster::ShardReply> execute(cluster::ShardRequest request) = 0;

  // Operations that are more than one command (MakeDirectory, Rename...) run as a coroutine on the leader.
  using Procedure =
      std::function<runtime::Task<Result<Buffer>>(ShardId shard, cluster::RequestId id, Buffer body)>;
  virtual void add_procedure(u16 kind, Procedure procedure) = 0;

  // Started when this node begins to lead a shard; its frame is destroyed when leadership ends. Loops inside.
  using LeaderTask = std::function<runtime::Task<void>(ShardId shard, Term term)>;
  virtual void add_leader_task(LeaderTask task) = 0;

  virtual ShardMachine* machine(ShardId shard) = 0;  // nullptr if not here
  virtual bool leads(ShardId shard) const = 0;
  virtual std::vector<ShardId> led() const = 0;
  // Makes applied state durable and lets logs shrink; done by itself every so often.
  virtual runtime::Task<Result<void>> checkpoint() = 0;
  virtual runtime::Task<void> stop() = 0;
};

// Registers the namespace's operations (meta/ops/) in a table, and its procedures and leader tasks in a
// service.
void register_namespace(OperationTable& table);
void register_namespace(ShardService& service);

}  // namespace claudefs::meta
