#include "app/server.h"

#include "admin/describe.h"
#include "admin/metrics.h"
#include "app/process.h"
#include "base/log.h"
#include "node/node.h"

namespace claudefs::app {
namespace {

runtime::Task<Result<std::unique_ptr<store::Kv>>> make_rocks(runtime::Env& env, std::string directory,
                                                             store::RocksOptions options) {
  co_return store::open_rocks(env, directory, options);
}

// A disk that does not say how much is free is as good as full.
runtime::Task<std::vector<admin::Device>> ask_devices(node::Node* node) {
  std::vector<admin::Device> out;
  for (const node::Device& device : node->devices()) {
    const Result<runtime::DiskSpace> space = co_await node->env().disk().space(device.directory).result();
    out.push_back({std::string(store::name_of(device.device_class)), device.directory, device.used,
                   device.total, space ? space->free : 0, device.fault});
  }
  co_return out;
}

node::Options node_options(const ServerOptions& options) {
  node::Options out;
  out.spec = options.spec;
  out.self = options.node;
  out.directories = options.directories;
  out.size_bytes = options.size_bytes;
  out.fast_bytes = options.fast_bytes;
  out.scrub_every = std::chrono::hours(24) * options.scrub_days;
  out.reduce_after = std::chrono::minutes(options.reduce_minutes);
  store::RocksOptions rocks;
  rocks.cache_bytes = options.cache_bytes;
  out.open_kv = [rocks](runtime::Env& env, std::string directory) {
    return make_rocks(env, std::move(directory), rocks);
  };
  out.resident_bytes = resident_bytes;
  out.register_methods = [](node::Node& node, net::MethodTable& methods) {
    node::Node* at = &node;
    admin::register_describe(methods, [at] { return ask_devices(at); });
  };
  return out;
}

void collect(node::Node& node, admin::MetricSet& set) {
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
  for (const node::Device& device : node.devices()) {
    const admin::MetricSet::Labels labels{{"device", std::string(store::name_of(device.device_class))}};
    set.add(MetricKind::gauge, "claudefs_device_used_bytes", "Bytes this node takes on the device.",
            static_cast<double>(device.used), labels);
    set.add(MetricKind::gauge, "claudefs_device_total_bytes", "Bytes this node may take on the device.",
            static_cast<double>(device.total), labels);
    set.add(MetricKind::gauge, "claudefs_device_healthy", "0 when the device takes no data any more.",
            device.fault.empty() ? 1 : 0, labels);
  }
  const auto counter = [&set](const char* name, const char* help, u64 value) {
    set.add(MetricKind::counter, name, help, static_cast<double>(value));
  };
  const data::DataFigures figures = node.data().figures();
  counter("claudefs_reclaimed_bytes_total", "Bytes of segments that this node, as their leader, gave back.",
          figures.reclaimed_bytes);
  counter("claudefs_compaction_moved_bytes_total",
          "Bytes that this node moved out of segments that were partly dead.", figures.moved_bytes);
  counter("claudefs_second_tier_saved_bytes_total",
          "Bytes by which this node made stored chunks shorter, as deltas or packed harder.",
          figures.saved_bytes);
  const meta::SplitFigures& directories = *node.options().split.figures;
  counter("claudefs_directory_splits_total", "Directories that this node, as a leader, split.",
          directories.splits);
  counter("claudefs_directory_merges_total",
          "Fragments of split directories that this node, as a leader, brought together again.",
          directories.merges);
  const data::ScrubReply scrub = node.data().scrub({});
  counter("claudefs_scrub_verified_bytes_total", "Bytes of shards and journal read to see that they check.",
          scrub.verified_bytes);
  counter("claudefs_scrub_found_total", "Damaged copies that scrubbing found on this node.", scrub.found);
  counter("claudefs_scrub_repaired_total", "Of them, those that are replaced or not needed any more.",
          scrub.repaired);
  gauge("claudefs_scrub_last_complete_timestamp_seconds",
        "When a pass over everything last ended; 0: not since the start.",
        static_cast<u64>(scrub.last_complete));
  gauge("claudefs_metadata_bytes", "Bytes of metadata on disk.", stats.metadata_bytes);
  gauge("claudefs_rpc_connections", "Connections that peers and clients hold.", node.connections());
  gauge("claudefs_raft_groups_led", "Shards this node leads.", stats.groups_led);
  u64 lagging = 0;
  for (ShardId shard : node.raft().groups()) {
    const raft::GroupStatus status = node.raft().status(shard);
    lagging += status.lagging.size();
    set.add(MetricKind::counter, "claudefs_raft_commit_index", "Committed log entries of a shard.",
            static_cast<double>(status.commit.value), {{"shard", std::to_string(shard.value)}});
  }
  gauge("claudefs_raft_lagging_members", "Followers of led shards that do not follow closely.", lagging);
  for (const cluster::NodeView& peer : node.membership().map().nodes)
    set.add(MetricKind::gauge, "claudefs_node_up", "1 when this node hears from the peer.",
            peer.state == cluster::NodeState::up ? 1 : 0, {{"node", std::to_string(peer.id.value)}});
}

runtime::Task<Result<void>> run(runtime::Reactor& reactor, const ServerOptions& options, node::Node& node,
                                std::unique_ptr<admin::MetricsServer>& metrics) {
  runtime::Event stopping(reactor.env().executor());
  reactor.on_signal([&stopping](int signal) {
    log::info("server", "stopping", {log::kv("signal", signal)});
    stopping.set();
  });
  co_await node.start();
  if (!options.metrics_address.empty()) {
    node::Node* at = &node;
    std::function<void(admin::MetricSet&)> collector = [at](admin::MetricSet& set) { collect(*at, set); };
    metrics = co_await admin::MetricsServer::start(reactor.env(), options.metrics_address, collector);
  }
  log::info("server", "serving",
            {log::kv("node", options.node), log::kv("address", node.address()),
             log::kv("metrics", metrics ? metrics->address() : "off")});
  if (options.on_ready) options.on_ready();
  co_await stopping.wait();
  reactor.on_signal(nullptr);
  co_return Result<void>();
}

}  // namespace

runtime::Task<Result<void>> serve(runtime::Reactor& reactor, ServerOptions options) {
  node::Node node(reactor.env(), node_options(options));
  std::unique_ptr<admin::MetricsServer> metrics;
  Result<void> outcome = co_await run(reactor, options, node, metrics).result();
  if (metrics) co_await metrics->stop();
  co_await node.stop();
  co_return outcome;
}

}  // namespace claudefs::app
