#include "app/server.h"

#include <algorithm>

#include <fmt/format.h>

#include "admin/describe.h"
#include "admin/metrics.h"
#include "app/process.h"
#include "base/log.h"
#include "cluster/membership.h"
#include "data/node_service.h"
#include "meta/shard_service.h"
#include "raft/host.h"
#include "store/journal.h"
#include "store/kv.h"
#include "store/shard_store.h"
#include "store/superblock.h"

namespace claudefs::app {
namespace {

constexpr u64 kJournalMin = 64_MiB;
constexpr u64 kJournalMax = 2_GiB;
constexpr u64 kRaftFileMin = 8_MiB;
constexpr u64 kRaftFileMax = 32_MiB;
constexpr u64 kRaftFilesKept = 2;
constexpr u64 kRaftFilesMost = kRaftFilesKept + 3;  // and the one being written and two spares

// Everything a node is made of, in the order of construction; destroyed in reverse.
struct Node {
  runtime::Env& env;
  ServerOptions options;
  net::MethodTable methods;
  meta::OperationTable table;
  u64 raw_total = 0;
  u64 raft_file_bytes = 0;
  u64 incarnation = 0;
  std::unique_ptr<store::Kv> kv;
  std::unique_ptr<store::Journal> journal;
  std::unique_ptr<store::ShardStore> shards;
  std::unique_ptr<net::Client> client;
  std::unique_ptr<raft::Host> raft;
  std::unique_ptr<cluster::Router> router;
  std::unique_ptr<meta::ShardService> service;
  std::unique_ptr<data::NodeService> data;
  std::unique_ptr<cluster::Membership> membership;
  std::unique_ptr<net::Server> server;
  std::unique_ptr<admin::MetricsServer> metrics;

  Node(runtime::Env& e, ServerOptions o)
      : env(e), options(std::move(o)), incarnation(e.random().between(1, ~u64{0})) {}

  std::string address_of(NodeId node) const {
    const cluster::NodeSpec* spec = options.spec.find(node);
    return spec != nullptr ? spec->address : std::string();
  }
  cluster::NodeStats stats() const {
    cluster::NodeStats out;
    out.raw_total = raw_total;
    out.journal_bytes = journal->live_bytes();
    out.shard_bytes = shards->used_bytes();
    out.shard_bytes_max = shards->capacity_bytes();
    out.metadata_bytes = kv->stats().disk_bytes;
    out.raw_used = out.shard_bytes + journal->disk_bytes() + out.metadata_bytes + raft->log_bytes();
    out.resident_bytes = resident_bytes();
    out.groups_led = static_cast<u32>(service->led().size());
    out.version = CLAUDEFS_VERSION;
    out.incarnation = incarnation;
    out.disk_fault = data ? data->disk_fault() : std::string();
    return out;
  }
  cluster::Heartbeat heartbeat() const { return {options.node, stats(), service->led()}; }
};

runtime::Task<Result<void>> open_stores(Node& node) {
  const std::string& directory = node.options.data_directory;
  runtime::Disk& disk = node.env.disk();
  co_await store::open_data_directory(node.env, directory, node.options.spec.id, node.options.node);
  const runtime::DiskSpace space = co_await disk.space(directory);
  const u64 size =
      node.options.size_bytes != 0 ? std::min(node.options.size_bytes, space.total) : space.total;
  const u64 journal_bytes = std::clamp(size / 8, kJournalMin, kJournalMax);
  node.raw_total = size;
  node.raft_file_bytes = std::clamp(size / 64, kRaftFileMin, kRaftFileMax);
  const u64 logs = journal_bytes + kRaftFilesMost * node.raft_file_bytes;
  store::RocksOptions rocks;
  rocks.cache_bytes = node.options.cache_bytes;
  node.kv = co_await store::open_rocks(node.env, directory + "/meta", rocks);
  node.journal = co_await store::Journal::open(node.env, directory + "/journal", journal_bytes);
  node.shards =
      co_await store::ShardStore::open(node.env, directory + "/shards", size - std::min(size / 2, logs));
  co_return Result<void>();
}

runtime::Task<Result<void>> start_services(Node& node) {
  const cluster::ClusterSpec& spec = node.options.spec;
  const net::Identity self{spec.id, node.options.node, spec.secret};
  node.client = net::Client::create(node.env, self, &node.methods);
  raft::HostOptions raft_options;
  raft_options.self = node.options.node;
  raft_options.log_directory = node.options.data_directory + "/raft";
  raft_options.log_file_bytes = node.raft_file_bytes;
  raft_options.log_keep_bytes = kRaftFilesKept * node.raft_file_bytes;
  Node* at = &node;
  std::function<std::string(NodeId)> address_of = [at](NodeId id) { return at->address_of(id); };
  node.raft = co_await raft::Host::open(node.env, *node.client, node.methods, raft_options, address_of);

  std::vector<std::string> seeds;
  for (const cluster::NodeSpec& peer : spec.nodes) seeds.push_back(peer.address);
  node.router = cluster::Router::create(node.env, *node.client, seeds);
  meta::register_namespace(node.table);
  data::register_data(node.table);
  meta::ShardService::Parts parts{node.env, *node.raft, *node.router, node.methods, *node.kv, node.table};
  node.service = meta::ShardService::create(parts, spec.shards);
  meta::register_namespace(*node.service);
  data::NodeService::Parts data_parts{node.env,      *node.client, *node.router,  node.methods,
                                      *node.journal, *node.shards, *node.service, node.options.node};
  node.data = data::NodeService::create(data_parts);
  for (u16 shard = 0; shard < spec.shards; ++shard) {
    std::vector<NodeId> replicas = cluster::replicas_of(spec, ShardId{shard});
    if (std::find(replicas.begin(), replicas.end(), node.options.node) == replicas.end()) continue;
    co_await node.service->add_shard(ShardId{shard}, std::move(replicas));
  }
  std::function<cluster::Heartbeat()> own = [at] { return at->heartbeat(); };
  node.membership = cluster::Membership::start(node.env, *node.client, node.methods, spec, node.options.node,
                                               std::move(own));
  admin::register_describe(node.methods);
  node.server = co_await net::Server::start(node.env, node.address_of(node.options.node), self, node.methods);
  node.raft->start();
  node.service->start();
  co_return Result<void>();
}

void collect(const Node& node, admin::MetricSet& set) {
  using admin::MetricKind;
  const cluster::NodeStats stats = node.stats();
  const auto gauge = [&set](const char* name, const char* help, u64 value) {
    set.add(MetricKind::gauge, name, help, static_cast<double>(value));
  };
  admin::add_process_metrics(set, "server", resident_bytes(), cpu_seconds());
  gauge("claudefs_raw_total_bytes", "Bytes of data this node may hold.", stats.raw_total);
  gauge("claudefs_raw_used_bytes", "Bytes this node takes on disk: shards, journal, metadata, Raft log.",
        stats.raw_used);
  gauge("claudefs_journal_live_bytes", "Journalled bytes not yet sealed.", stats.journal_bytes);
  gauge("claudefs_shard_bytes", "Bytes of sealed shards.", stats.shard_bytes);
  gauge("claudefs_metadata_bytes", "Bytes of metadata on disk.", stats.metadata_bytes);
  gauge("claudefs_rpc_connections", "Connections that peers and clients hold.", node.server->connections());
  gauge("claudefs_raft_groups_led", "Shards this node leads.", stats.groups_led);
  u64 lagging = 0;
  for (ShardId shard : node.raft->groups()) {
    const raft::GroupStatus status = node.raft->status(shard);
    lagging += status.lagging.size();
    set.add(MetricKind::counter, "claudefs_raft_commit_index", "Committed log entries of a shard.",
            static_cast<double>(status.commit.value), {{"shard", std::to_string(shard.value)}});
  }
  gauge("claudefs_raft_lagging_members", "Followers of led shards that do not follow closely.", lagging);
  for (const cluster::NodeView& peer : node.membership->map().nodes)
    set.add(MetricKind::gauge, "claudefs_node_up", "1 when this node hears from the peer.",
            peer.state == cluster::NodeState::up ? 1 : 0, {{"node", std::to_string(peer.id.value)}});
}

runtime::Task<void> stop(Node& node) {
  if (node.metrics) co_await node.metrics->stop();
  if (node.membership) co_await node.membership->stop();
  if (node.server) co_await node.server->stop();
  if (node.data) co_await node.data->stop();
  if (node.service) {
    const Result<void> saved = co_await node.service->checkpoint();
    if (!saved) log::warn("server", "last checkpoint failed", {log::kv("error", saved.error().to_string())});
    co_await node.service->stop();
  }
  if (node.raft) co_await node.raft->stop();
  if (node.client) co_await node.client->stop();
  if (node.journal) co_await node.journal->stop();
  if (node.shards) co_await node.shards->stop();
}

runtime::Task<Result<void>> run(runtime::Reactor& reactor, Node& node) {
  runtime::Event stopping(node.env.executor());
  reactor.on_signal([&stopping](int signal) {
    log::info("server", "stopping", {log::kv("signal", signal)});
    stopping.set();
  });
  co_await open_stores(node);
  co_await start_services(node);
  if (!node.options.metrics_address.empty()) {
    Node* at = &node;
    std::function<void(admin::MetricSet&)> collector = [at](admin::MetricSet& set) { collect(*at, set); };
    node.metrics = co_await admin::MetricsServer::start(node.env, node.options.metrics_address, collector);
  }
  log::info("server", "serving",
            {log::kv("node", node.options.node), log::kv("address", node.server->address()),
             log::kv("metrics", node.metrics ? node.metrics->address() : "off")});
  if (node.options.on_ready) node.options.on_ready();
  co_await stopping.wait();
  reactor.on_signal(nullptr);
  co_return Result<void>();
}

}  // namespace

runtime::Task<Result<void>> serve(runtime::Reactor& reactor, ServerOptions options) {
  Node node(reactor.env(), std::move(options));
  Result<void> outcome = co_await run(reactor, node).result();
  co_await stop(node);
  co_return outcome;
}

}  // namespace claudefs::app
