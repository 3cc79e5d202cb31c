// Nodes in one process over a stand-in for Raft that commits at once, whose leaders come and go between any
// two steps.
#pragma once

#include "meta/tests/one_shard.h"
#include "runtime/scope.h"
#include "sim/node.h"
#include "sim/run.h"

namespace claudefs::meta::testing {

class Cluster;

// A node: its store survives a crash as far as it was flushed.
struct Member {
  std::size_t number = 0;
  store::MemoryKv kv;
  OperationTable table;
  net::MethodTable methods;
  std::map<ShardId, raft::StateMachine*> machines;
  std::unique_ptr<raft::Host> host;
  std::unique_ptr<cluster::Router> router;
  std::unique_ptr<ShardService> service;
  std::unique_ptr<runtime::Scope> calls;  // requests under way on it
  bool up() const { return service != nullptr; }
};

class Cluster final : public System {
 public:
  Cluster(u64 seed, u16 shard_count, std::size_t members, SplitPolicy split = {});
  ~Cluster() override;

  // As a client does: retried until answered, under one request id.
  Result<Buffer> call_raw(ShardId shard, u16 kind, Buffer body) override;
  u16 shard_count() const override { return shard_count_; }
  runtime::Task<Result<Buffer>> request(ShardId shard, u16 kind, cluster::RequestId id, Buffer body);

  void move_leader(ShardId shard);
  void crash(std::size_t number);
  void restart(std::size_t number);
  // From now on leaders move and nodes crash at random, about every `every`.
  void disturb(runtime::Duration every);
  void calm();
  void run_for(runtime::Duration time) { world.run_for(time); }
  const ReadContext& state(ShardId shard) {
    return members.at(leader.at(shard))->service->machine(shard)->reader();
  }
  // Locks, undecided transactions, undelivered messages.
  std::size_t loose_ends();

  sim::World world;
  sim::Node& env;
  sim::RandomStream random;
  std::vector<std::unique_ptr<Member>> members;
  std::map<ShardId, std::size_t> leader;
  std::map<ShardId, Term> term;
  std::map<ShardId, std::vector<raft::Committed>> log;
  int disturbances = 0;
  std::set<ShardId> unconfirmed;  // led by one that no quorum confirms
  runtime::Duration keep_trash = std::chrono::hours(24);
  bool space_is_short = false;
  const SplitPolicy split;

  void append(ShardId shard, Buffer command);
  void apply_all(ShardId shard, Member& member, std::vector<Buffer>* replies = nullptr);

 private:
  void lead(ShardId shard, std::size_t number);
  void disturb_once(runtime::Duration every);
  std::size_t any_up();
  u16 shard_count_;
  u64 sequence_ = 0;
  bool disturbing_ = false;
};

}  // namespace claudefs::meta::testing
