// `claudefs scrub`: has every node read and check all that it holds, now, and waits for the outcome.
#include "data/scrub.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "app/cli.h"
#include "app/cluster_access.h"
#include "app/progress_line.h"
#include "base/log.h"

namespace claudefs::app {
using namespace std::chrono_literals;
namespace {

constexpr int kLeftWrong = 3;  // exit code; docs/operations.md
constexpr runtime::Duration kAskEvery = 500ms;
constexpr runtime::Duration kRepairPatience = 60s;  // after the last pass has ended

struct Options {
  std::string address;
  std::string file = kClusterFile;
  bool json = false;
  bool quiet = false;
};

struct NodePass {
  NodeId node{};
  std::string address;
  data::ScrubReply before, now;
  std::string trouble;  // why nothing can be said of its pass
  bool running() const { return trouble.empty() && now.running; }
  u64 found() const { return now.found - before.found; }
  u64 unrepaired() const { return now.found - now.repaired; }
};

runtime::Task<void> ask(net::Client& rpc, NodePass& pass, bool begin) {
  data::Scrub message;
  message.begin = begin;
  const auto reply = co_await net::call(rpc, pass.address, message, 5s).result();
  if (!reply) {
    pass.trouble = reply.error().text;
    co_return;
  }
  pass.now = reply->message;
  if (begin) pass.before = pass.now;
  if (pass.now.pass != pass.before.pass) pass.trouble = "it was started again, or told to scrub once more";
}

bool done(const std::vector<NodePass>& passes, bool patient) {
  return std::ranges::none_of(passes, [patient](const NodePass& pass) {
    return pass.running() || (patient && pass.trouble.empty() && pass.unrepaired() != 0);
  });
}

void show(const std::vector<NodePass>& passes, ProgressLine& line) {
  u64 read = 0, total = 0;
  for (const NodePass& pass : passes) {
    read += pass.now.pass_bytes;
    total += pass.now.pass_total;
  }
  line.show("MiB read:", read / 1_MiB, total / 1_MiB);
}

runtime::Task<Result<void>> run(runtime::Reactor& reactor, cluster::ClusterSpec spec, Options options,
                                std::vector<NodePass>& passes) {
  std::vector<std::string> seeds;
  if (!options.address.empty()) seeds.push_back(options.address);
  ClusterClient cluster = connect_cluster(reactor.env(), spec, std::move(seeds), 30s);
  Result<void> found = co_await cluster.router->refresh().result();
  if (found)
    for (const cluster::NodeView& node : cluster.router->map().nodes)
      passes.push_back({node.id, node.address, {}, {}, {}});
  for (NodePass& pass : passes) co_await ask(*cluster.rpc, pass, true);
  ProgressLine line(!options.quiet && !options.json);
  runtime::Instant read_at = reactor.env().now();
  while (!done(passes, reactor.env().now() - read_at < kRepairPatience)) {
    co_await reactor.env().executor().sleep(kAskEvery);
    for (NodePass& pass : passes)
      if (pass.trouble.empty()) co_await ask(*cluster.rpc, pass, false);
    if (!done(passes, false)) read_at = reactor.env().now();
    show(passes, line);
  }
  line.end();
  co_await cluster.rpc->stop();
  co_return found;
}

nlohmann::json to_json(const std::vector<NodePass>& passes) {
  nlohmann::json nodes = nlohmann::json::array();
  u64 read = 0, found = 0, unrepaired = 0;
  for (const NodePass& pass : passes) {
    nodes.push_back({{"id", pass.node.value},
                     {"trouble", pass.trouble},
                     {"read", pass.now.pass_bytes},
                     {"found", pass.found()},
                     {"unrepaired", pass.unrepaired()}});
    read += pass.now.pass_bytes;
    found += pass.found();
    unrepaired += pass.unrepaired();
  }
  return {{"nodes", nodes}, {"read", read}, {"found", found}, {"unrepaired", unrepaired}};
}

void print(const std::vector<NodePass>& passes) {
  for (const NodePass& pass : passes)
    if (pass.trouble.empty())
      fmt::print("node {}: {} MiB read, {} damaged copies found, {} not repaired\n", pass.node,
                 pass.now.pass_bytes / 1_MiB, pass.found(), pass.unrepaired());
    else
      fmt::print("node {}: not scrubbed: {}; run it again when `claudefs status` shows the node up\n",
                 pass.node, pass.trouble);
}

Result<void> scrub(const Options& options, Cli& cli) {
  log::set_level(log::Level::error);
  TRY_ASSIGN(const cluster::ClusterSpec spec, load_cluster_file(options.file));
  std::vector<NodePass> passes;
  TRY(run_on_reactor([&](runtime::Reactor& reactor) { return run(reactor, spec, options, passes); }));
  if (options.json)
    fmt::print("{}\n", to_json(passes).dump(2));
  else
    print(passes);
  if (!std::ranges::all_of(passes, [](const NodePass& pass) {
        return pass.trouble.empty() && !pass.now.running && pass.unrepaired() == 0;
      }))
    cli.exit_code = kLeftWrong;
  return {};
}

}  // namespace

void add_scrub(Cli& cli) {
  auto options = std::make_shared<Options>();
  CLI::App* command = add_command(cli, "scrub", "have every node read and check all it holds, now",
                                  [options, &cli]() -> Result<void> { return scrub(*options, cli); });
  command->add_option("address", options->address,
                      "HOST:PORT of any node (default: those of the cluster file)");
  add_option(command, "cluster", options->file, "the cluster's file")->capture_default_str();
  command->add_flag("--json", options->json, "for scripts");
  command->add_flag("--quiet", options->quiet, "no progress on standard error");
}

}  // namespace claudefs::app
