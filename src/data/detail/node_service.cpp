#include "data/node_service.h"

#include "data/detail/consolidator.h"
#include "data/detail/handlers.h"
#include "data/detail/reclaimer.h"
#include "data/detail/repairer.h"
#include "data/detail/sealer.h"
#include "data/detail/sweeper.h"

namespace claudefs::data {
namespace {

using namespace std::chrono_literals;
using runtime::Task;

constexpr runtime::Duration kWatchEvery = 2s;
constexpr runtime::Duration kSweepJournalEvery = 30s;
constexpr runtime::Duration kSweepShardsEvery = 10min;

class NodeServiceImpl final : public NodeService {
 public:
  explicit NodeServiceImpl(Parts parts)
      : env_(parts.env),
        router_(parts.router),
        nodes_(parts.env, parts.client, parts.router),
        reader_(parts.env, nodes_),
        handlers_({parts.env, nodes_, parts.methods, parts.journal, parts.shards, parts.self}),
        background_{parts.env, parts.router, nodes_, reader_, watch_, parts.self,
                    [service = &parts.service](ShardId shard) -> const meta::ReadContext* {
                      meta::ShardMachine* machine = service->machine(shard);
                      return machine == nullptr ? nullptr : &machine->reader();
                    }},
        sealer_(background_),
        repairer_(background_),
        reclaimer_(background_),
        consolidator_(background_, parts.client),
        sweeper_(background_, parts.journal, parts.shards),
        scope_(parts.env.executor()) {
    parts.service.add_leader_task([this](ShardId shard, Term) { return sealer_.run(shard); });
    parts.service.add_leader_task([this](ShardId shard, Term) { return repairer_.run(shard); });
    parts.service.add_leader_task([this](ShardId shard, Term) { return reclaimer_.run(shard); });
    parts.service.add_leader_task([this](ShardId shard, Term) { return consolidator_.run(shard); });
    scope_.spawn(watch());
    scope_.spawn(sweep_journal());
    scope_.spawn(sweep_shards());
  }

  Task<void> stop() override {
    stopping_ = true;
    stopped_.notify_all();
    scope_.stop_accepting();
    co_await scope_.join();
  }

 private:
  // False once the service stops.
  Task<bool> pause(runtime::Duration time) {
    const runtime::Instant until = env_.now() + time;
    while (!stopping_ && env_.now() < until) (void)co_await stopped_.wait_until(until);
    co_return !stopping_;
  }
  Task<void> watch() {
    while (co_await pause(kWatchEvery)) {
      (void)co_await router_.refresh().result();
      watch_.observe(router_.map(), env_.now());
    }
  }
  Task<void> sweep_journal() {
    while (co_await pause(kSweepJournalEvery)) co_await sweeper_.sweep_journal();
  }
  Task<void> sweep_shards() {
    while (co_await pause(kSweepShardsEvery)) co_await sweeper_.sweep_shards();
  }

  runtime::Env& env_;
  cluster::Router& router_;
  Nodes nodes_;
  SegmentReader reader_;
  Handlers handlers_;
  NodeWatch watch_;
  Background background_;
  Sealer sealer_;
  Repairer repairer_;
  Reclaimer reclaimer_;
  Consolidator consolidator_;
  Sweeper sweeper_;
  bool stopping_ = false;
  runtime::Condition stopped_{env_.executor()};
  runtime::Scope scope_;  // last: destroyed first
};

}  // namespace

std::unique_ptr<NodeService> NodeService::create(Parts parts) {
  return std::make_unique<NodeServiceImpl>(parts);
}

}  // namespace claudefs::data
