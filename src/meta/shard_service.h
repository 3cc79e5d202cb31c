// A node's shards at work: answers ShardRequest, proposes commands, runs queries behind a read barrier,
// drives transactions over shards, and runs each shard's background tasks while this node leads it.
#pragma once

#include <functional>
#include <memory>

#include "cluster/shard_call.h"
#include "meta/shard_machine.h"
#include "meta/split.h"
#include "meta/trash.h"
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

  // Told which inodes of a shard led here each answered request has changed.
  using ChangeListener = std::function<void(ShardId shard, const std::vector<InodeId>& inodes)>;
  virtual void set_change_listener(ChangeListener listener) = 0;

  // For procedures and leader tasks. A command of a shard led here, as it is: `kind` is not looked up among
  // the procedures. Errors of the raft host, and the command's own (busy: a transaction holds a key; try
  // again soon).
  virtual runtime::Task<Result<Buffer>> propose(ShardId shard, u16 kind, cluster::RequestId id,
                                                Buffer body) = 0;
  // After it, the state of a shard led here includes all that was acknowledged before.
  virtual runtime::Task<Result<void>> barrier(ShardId shard) = 0;
  // An operation on any shard, without deduplication: here when this node leads it, else over the router.
  virtual runtime::Task<Result<Buffer>> call(ShardId shard, u16 kind, Buffer body) = 0;
  template <class Op>
  runtime::Task<Result<typename Op::Reply>> call_op(ShardId shard, Op op) {
    Buffer body = wire::encode(op);
    const Buffer reply = co_await call(shard, Op::kKind, std::move(body));
    co_return wire::decode<typename Op::Reply>(reply);
  }
  template <class Op>
  runtime::Task<Result<typename Op::Reply>> propose_op(ShardId shard, Op op) {
    Buffer body = wire::encode(op);
    const Buffer reply = co_await propose(shard, Op::kKind, cluster::RequestId(), std::move(body));
    co_return wire::decode<typename Op::Reply>(reply);
  }
  virtual runtime::Env& env() = 0;
  virtual u16 shard_count() const = 0;

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
void register_namespace(ShardService& service, TrashPolicy trash = {}, SplitPolicy split = {});

}  // namespace claudefs::meta
