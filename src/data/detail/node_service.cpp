#include "data/node_service.h"

#include "data/detail/compactor.h"
#include "data/detail/consolidator.h"
#include "data/detail/handlers.h"
#include "data/detail/reclaimer.h"
#include "data/detail/reducer.h"
#include "data/detail/repairer.h"
#include "data/detail/scrubber.h"
#include "data/detail/sealer.h"
#include "data/detail/sweeper.h"

namespace claudefs::data {
namespace {

using namespace std::chrono_literals;
using runtime::Task;

constexpr runtime::Duration kWatchEvery = 1s;
constexpr runtime::Duration kSweepJournalEvery = 30s;
constexpr runtime::Duration kSweepShardsEvery = 10min;
constexpr runtime::Duration kReportEvery = 1s;

// What the leader tasks run on. They are frames of the shard service, which may outlive the node service:
// each holds its share.
struct Core {
  explicit Core(const NodeService::Parts& parts)
      : nodes(parts.env, parts.client, parts.router),
        reader(parts.env, nodes),
        throttle(parts.env),
        data_disk(parts.env, parts.two_devices ? "its data device" : "it"),
        fast_disk(parts.env, "its fast device"),
        background{parts.env,
                   parts.router,
                   nodes,
                   reader,
                   watch,
                   throttle,
                   parts.self,
                   [service = &parts.service](ShardId shard) -> const meta::ReadContext* {
                     meta::ShardMachine* machine = service->machine(shard);
                     return machine == nullptr ? nullptr : &machine->reader();
                   }},
        sealer(background),
        repairer(background),
        reclaimer(background),
        compactor(background),
        chunks(background, parts.client),
        consolidator(background, chunks),
        reducer(background, chunks, parts.reduce_after) {}
  Nodes nodes;
  SegmentReader reader;
  NodeWatch watch;
  Throttle throttle;
  DiskHealth data_disk;
  DiskHealth fast_disk;  // of nothing where there is one device
  Background background;
  Sealer sealer;
  Repairer repairer;
  Reclaimer reclaimer;
  Compactor compactor;
  ServerChunks chunks;
  Consolidator consolidator;
  Reducer reducer;
};
using CorePtr = std::shared_ptr<Core>;

template <class Worker>
Task<void> lead(CorePtr core, Worker Core::* worker, ShardId shard) {
  co_await ((*core).*worker).run(shard);
}
template <class Worker>
void add_task(meta::ShardService& service, CorePtr core, Worker Core::* worker) {
  service.add_leader_task(
      [core = std::move(core), worker](ShardId shard, Term) { return lead(core, worker, shard); });
}

// Procedures of the shards that this node leads.
Task<Result<Buffer>> summarize(CorePtr core, meta::ShardService* service, ShardId shard, Buffer body) {
  const StorageSummary op = co_await wire::decode<StorageSummary>(body);
  co_await service->barrier(shard);
  StorageSummaryReply reply;
  core->repairer.summarize(shard, op, reply);
  core->reclaimer.summarize(shard, reply);
  core->compactor.summarize(shard, reply);
  core->reducer.summarize(shard, reply);
  if (const meta::ReadContext* state = core->background.state(shard))
    reply.chunks = state->load<IndexTotals>(kTotalsKey).value_or(IndexTotals{}).chunks;
  co_return wire::encode(reply);
}
Task<Result<Buffer>> take_report(CorePtr core, meta::ShardService* service, ShardId shard, Buffer body) {
  const ReportBadCopy bad = co_await wire::decode<ReportBadCopy>(body);
  co_await service->barrier(shard);
  core->repairer.report(shard, bad);
  co_return wire::encode(meta::Nothing{});
}
using Procedure = Task<Result<Buffer>> (*)(CorePtr, meta::ShardService*, ShardId, Buffer);
void add_procedure(meta::ShardService& service, CorePtr core, u16 kind, Procedure procedure) {
  service.add_procedure(
      kind, [core = std::move(core), &service, procedure](ShardId shard, cluster::RequestId, Buffer body) {
        return procedure(core, &service, shard, std::move(body));
      });
}

class NodeServiceImpl final : public NodeService {
 public:
  explicit NodeServiceImpl(Parts parts)
      : env_(parts.env),
        router_(parts.router),
        core_(std::make_shared<Core>(parts)),
        handlers_({parts.env, core_->nodes, parts.methods, parts.journal, parts.shards,
                   parts.two_devices ? core_->fast_disk : core_->data_disk, core_->data_disk, core_->throttle,
                   parts.self}),
        sweeper_(core_->background, parts.journal, parts.shards),
        scrubber_(core_->background, handlers_, parts.journal, parts.shards, parts.scrub_every, parts.files),
        stopped_(parts.env.executor()),
        scope_(parts.env.executor()) {
    add_task(parts.service, core_, &Core::sealer);
    add_task(parts.service, core_, &Core::repairer);
    add_task(parts.service, core_, &Core::reclaimer);
    add_task(parts.service, core_, &Core::compactor);
    add_task(parts.service, core_, &Core::consolidator);
    add_task(parts.service, core_, &Core::reducer);
    add_procedure(parts.service, core_, StorageSummary::kKind, summarize);
    add_procedure(parts.service, core_, ReportBadCopy::kKind, take_report);
    parts.methods.on<Scrub>([this](Scrub message, net::Request) { return answer(message); });
    scope_.spawn(watch());
    scope_.spawn(sweep_journal());
    scope_.spawn(sweep_shards());
    scope_.spawn(scrubber_.run());
    scope_.spawn(report());
  }
  ~NodeServiceImpl() override { core_->background.stopping = true; }

  Task<void> stop() override {
    core_->background.stopping = true;
    stopped_.notify_all();
    scrubber_.wake();
    scope_.stop_accepting();
    co_await scope_.join();
  }
  std::string disk_fault(store::DeviceClass device) const override {
    return device == store::DeviceClass::fast ? core_->fast_disk.fault() : core_->data_disk.fault();
  }
  DataFigures figures() const override {
    return {core_->reclaimer.reclaimed_bytes(), core_->compactor.moved_bytes(), core_->reducer.saved_bytes()};
  }
  ScrubReply scrub(Scrub message) override {
    if (message.begin) scrubber_.begin_now();
    return scrubber_.status();
  }

 private:
  // False once the service stops.
  Task<bool> pause(runtime::Duration time) {
    const runtime::Instant until = env_.now() + time;
    while (!core_->background.stopping && env_.now() < until) (void)co_await stopped_.wait_until(until);
    co_return !core_->background.stopping;
  }
  Task<void> watch() {
    do {
      if (co_await router_.refresh().result()) core_->watch.observe(router_.map(), env_.now());
    } while (co_await pause(kWatchEvery));
  }
  Task<void> sweep_journal() {
    while (co_await pause(kSweepJournalEvery)) co_await sweeper_.sweep_journal();
  }
  Task<void> sweep_shards() {
    while (co_await pause(kSweepShardsEvery)) co_await sweeper_.sweep_shards();
  }
  Task<void> report() {
    while (co_await pause(kReportEvery)) co_await scrubber_.report();
  }
  Task<Result<net::TypedReply<ScrubReply>>> answer(Scrub message) {
    co_return net::TypedReply<ScrubReply>{scrub(message), {}};
  }

  runtime::Env& env_;
  cluster::Router& router_;
  CorePtr core_;
  Handlers handlers_;
  Sweeper sweeper_;
  Scrubber scrubber_;
  runtime::Condition stopped_;
  runtime::Scope scope_;  // last: destroyed first
};

}  // namespace

std::unique_ptr<NodeService> NodeService::create(Parts parts) {
  return std::make_unique<NodeServiceImpl>(parts);
}

}  // namespace claudefs::data
