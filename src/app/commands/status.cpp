// `claudefs status`: health, space and redundancy of a cluster.
#include "app/status_report.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "app/cli.h"
#include "app/cluster_access.h"
#include "app/process.h"
#include "app/show_status.h"
#include "app/text.h"
#include "base/log.h"

namespace claudefs::app {
using namespace std::chrono_literals;
namespace {

runtime::Task<Result<void>> show(runtime::Reactor& reactor, cluster::ClusterSpec spec,
                                 StatusOptions options) {
  std::vector<std::string> seeds;
  if (!options.address.empty()) seeds.push_back(options.address);
  ClusterClient cluster = connect_cluster(reactor.env(), spec, std::move(seeds), 3s);
  Result<void> outcome;
  bool stop = false;
  reactor.on_signal([&stop](int) { stop = true; });
  do {
    const Result<StatusReport> report =
        co_await ask_status(reactor.env(), *cluster.rpc, *cluster.router).result();
    if (options.watch) std::fputs("\033[H\033[2J", stdout);
    if (report)
      std::fputs(options.json ? (status_json(*report).dump(2) + "\n").c_str() : status_text(*report).c_str(),
                 stdout);
    else if (!options.watch)
      outcome = fail(Errc::unavailable, "no node of the cluster answers: " + report.error().text);
    else
      std::printf("no node of the cluster answers: %s\n", report.error().text.c_str());
    std::fflush(stdout);
    if (options.watch) co_await reactor.env().executor().sleep(2s);
  } while (options.watch && !stop);
  co_await cluster.rpc->stop();
  co_return outcome;
}
}  // namespace

Result<void> show_status(const cluster::ClusterSpec& spec, StatusOptions options) {
  log::set_level(log::Level::error);
  return run_on_reactor([&](runtime::Reactor& reactor) { return show(reactor, spec, options); });
}

void add_status(Cli& cli) {
  auto options = std::make_shared<StatusOptions>();
  auto file = std::make_shared<std::string>(kClusterFile);
  CLI::App* command = add_command(cli, "status", "show health, space and redundancy of a cluster",
                                  [options, file]() -> Result<void> {
                                    TRY_ASSIGN(const cluster::ClusterSpec spec, load_cluster_file(*file));
                                    return show_status(spec, *options);
                                  });
  command->add_option("address", options->address,
                      "HOST:PORT of any node (default: those of the cluster file)");
  add_option(command, "cluster", *file, "the cluster's file")->capture_default_str();
  command->add_flag("--json", options->json, "for scripts");
  command->add_flag("--watch", options->watch, "again every two seconds");
}

}  // namespace claudefs::app
