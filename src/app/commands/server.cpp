// `claudefs server`: runs one node.
#include "app/server.h"

#include <charconv>
#include <filesystem>

#include <fmt/format.h>

#include "app/cli.h"
#include "app/cluster_access.h"
#include "app/process.h"
#include "app/text.h"
#include "base/log.h"

namespace claudefs::app {
namespace {

struct Options {
  std::string data = "/var/lib/claudefs";
  std::string fast;
  std::string cluster;
  unsigned node = 0;
  std::string listen = "127.0.0.1:7700";
  std::string metrics;
  std::string size = "0";
  std::string fast_size = "0";
  bool pair_devices = false;
  std::string cache = "64MiB";
  unsigned scrub_days = ServerOptions().scrub_days;
  unsigned reduce_minutes = ServerOptions().reduce_minutes;
  std::string log_file;
  std::string log_level = "info";
  std::string pid_file;
};

// Without --cluster a node stands alone: its cluster file lies in its data directory.
Result<cluster::ClusterSpec> find_spec(Options& options) {
  if (!options.cluster.empty()) return load_cluster_file(options.cluster);
  if (read_file(kClusterFile)) return load_cluster_file(kClusterFile);
  const std::string own = options.data + ".cluster.toml";
  options.node = 1;
  if (read_file(own)) return load_cluster_file(own);
  TRY_ASSIGN(const cluster::ClusterSpec spec, make_cluster("claudefs", {{NodeId{1}, options.listen}}, 16));
  TRY(write_file(own, cluster::format_spec(spec), 0600));
  log::info("server", "made a cluster of one node", {log::kv("cluster_file", own)});
  return spec;
}

std::string default_metrics_address(const std::string& listen) {
  const std::size_t colon = listen.rfind(':');
  int port = 0;
  std::from_chars(listen.data() + colon + 1, listen.data() + listen.size(), port);
  return fmt::format("{}:{}", listen.substr(0, colon), port + 1000);
}

// Nobody else runs on these directories, nor will while this process lives.
Result<void> lock_directories(const Options& options) {
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(options.data).parent_path(), error);
  TRY(lock_for_life(options.data + ".lock", "data directory " + options.data));
  if (options.fast.empty()) return {};
  std::filesystem::create_directories(options.fast, error);
  if (std::filesystem::equivalent(options.data, options.fast, error))
    return fail(Errc::invalid_argument,
                fmt::format("--data {} and --fast {} are the same directory: give one "
                            "device only, or two",
                            options.data, options.fast));
  return lock_for_life(options.fast + "/lock", "fast directory " + options.fast);
}

runtime::Task<Result<void>> pair(runtime::Reactor& reactor, const ServerOptions& server) {
  const store::Owner owner{server.spec.id, server.node};
  co_await store::pair_devices(reactor.env(), server.directories, owner);
  fmt::print("{} and {} belong together now. Start the server without --pair-devices.\n",
             server.directories.data, server.directories.fast);
  co_return Result<void>();
}

Result<void> run(Options options) {
  TRY(prepare_process(options.log_file, options.log_level));
  options.data = absolute_path(options.data);
  if (!options.fast.empty()) options.fast = absolute_path(options.fast);
  TRY_ASSIGN(const u64 size, parse_size(options.size));
  TRY_ASSIGN(const u64 fast_size, parse_size(options.fast_size));
  TRY_ASSIGN(const u64 cache, parse_size(options.cache));
  TRY(lock_directories(options));

  ServerOptions server;
  TRY_ASSIGN(server.spec, find_spec(options));
  server.node = NodeId{static_cast<u16>(options.node)};
  const cluster::NodeSpec* self = server.spec.find(server.node);
  if (self == nullptr)
    return fail(Errc::not_configured,
                fmt::format("--node {}: the cluster file has no such node; its [[node]] tables list them",
                            options.node));
  server.directories = {options.data, options.fast};
  if (options.pair_devices)
    return run_on_reactor([&server](runtime::Reactor& reactor) { return pair(reactor, server); });
  server.metrics_address = options.metrics.empty() ? default_metrics_address(self->address) : options.metrics;
  if (server.metrics_address == "off") server.metrics_address.clear();
  server.size_bytes = size;
  server.fast_bytes = fast_size;
  server.cache_bytes = cache;
  server.scrub_days = options.scrub_days;
  server.reduce_minutes = options.reduce_minutes;
  if (!options.pid_file.empty()) TRY(write_file(options.pid_file, std::to_string(::getpid())));
  Result<void> outcome =
      run_on_reactor([&server](runtime::Reactor& reactor) { return serve(reactor, server); });
  if (!outcome) log::error("server", outcome.error().text);
  return outcome;
}
}  // namespace

void add_server(Cli& cli) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      add_command(cli, "server", "run one node of a cluster", [options] { return run(*options); });
  add_option(command, "data", options->data, "this node's directory: data, journal, metadata")
      ->capture_default_str();
  add_option(
      command, "fast", options->fast,
      "a second directory for journal, Raft log and metadata, which are small and flushed all the time: "
      "on an SSD when --data is on hard disks (default: in --data)");
  add_option(command, "cluster", options->cluster,
             std::string("the cluster's file; without one (and without ") + kClusterFile +
                 ") a cluster of one node is made");
  add_option(command, "node", options->node, "which node of the cluster file this is");
  add_option(command, "listen", options->listen, "address of a cluster of one node")->capture_default_str();
  add_option(command, "metrics", options->metrics,
             "HOST:PORT of the Prometheus page, or off (default: port + 1000)");
  add_option(command, "size", options->size, "how much --data may hold, as 500GiB (default: its disk)");
  add_option(command, "fast-size", options->fast_size,
             "how much --fast may hold, 208MiB at least (default: its disk)");
  command->add_flag(
      "--pair-devices", options->pair_devices,
      "do not serve: take an empty directory of the two in place of a device that is lost, or --fast with "
      "what was moved there from --data");
  add_option(command, "cache", options->cache, "memory for metadata")->capture_default_str();
  add_option(command, "scrub-days", options->scrub_days,
             "read and check all that this node holds every so many days")
      ->check(CLI::Range(1, 365))
      ->capture_default_str();
  add_option(command, "reduce-minutes", options->reduce_minutes,
             "reduce what has not changed for so many minutes: similarity deltas, zstd")
      ->check(CLI::Range(1, 525'600))
      ->capture_default_str();
  add_option(command, "log-file", options->log_file, "append the log to this file instead of standard error");
  add_option(command, "log-level", options->log_level, "debug, info, warn or error")
      ->check(CLI::IsMember({"debug", "info", "warn", "error"}))
      ->capture_default_str();
  add_option(command, "pid-file", options->pid_file, "write the process id here");
}

}  // namespace claudefs::app
