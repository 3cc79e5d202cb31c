// `claudefs fsck`: checks a cluster's file system while it is in use.
#include "data/fsck.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "app/cli.h"
#include "app/cluster_access.h"
#include "app/progress_line.h"
#include "base/log.h"

namespace claudefs::app {
using namespace std::chrono_literals;
namespace {

constexpr int kLeftWrong = 3;  // exit code; docs/fsck.md

struct Options {
  std::string address;
  std::string file = kClusterFile;
  bool repair = false;
  bool json = false;
  bool quiet = false;
};

nlohmann::json to_json(const data::FsckReport& report) {
  nlohmann::json findings = nlohmann::json::array();
  for (const data::FsckFinding& finding : report.findings)
    findings.push_back({{"kind", finding.kind}, {"text", finding.text}, {"repaired", finding.repaired}});
  return {{"inodes", report.inodes},
          {"entries", report.entries},
          {"extents", report.extents},
          {"chunks", report.chunks},
          {"segments", report.segments},
          {"undecided", report.undecided},
          {"split_directories", report.split_directories},
          {"fragments", report.fragments},
          {"found", report.found()},
          {"repaired", report.repaired()},
          {"findings", findings}};
}

void print(const data::FsckReport& report, bool repair) {
  for (const data::FsckFinding& finding : report.findings)
    fmt::print("{}{}: {}\n", finding.repaired ? "repaired: " : "", finding.kind, finding.text);
  fmt::print("checked {} inodes, {} entries, {} extents, {} chunks, {} segments\n", report.inodes,
             report.entries, report.extents, report.chunks, report.segments);
  if (report.undecided != 0)
    fmt::print("{} things changed each time they were looked at and were not judged\n", report.undecided);
  if (report.found() == 0)
    fmt::print("nothing is wrong\n");
  else if (repair)
    fmt::print("{} things are wrong, {} of them repaired\n", report.found(), report.repaired());
  else
    fmt::print("{} things are wrong; `claudefs fsck --repair` mends what can be mended\n", report.found());
}

runtime::Task<Result<void>> run(runtime::Reactor& reactor, cluster::ClusterSpec spec, Options options,
                                data::FsckReport& out) {
  std::vector<std::string> seeds;
  if (!options.address.empty()) seeds.push_back(options.address);
  ClusterClient cluster = connect_cluster(reactor.env(), spec, std::move(seeds), 30s);
  ProgressLine line(!options.quiet && !options.json);
  data::FsckOptions how;
  how.repair = options.repair;
  Result<data::FsckReport> report =
      co_await data::fsck(reactor.env(), *cluster.rpc, *cluster.router, how,
                          [&line](const data::FsckProgress& progress) {
                            line.show(progress.phase, progress.done, progress.total);
                          })
          .result();
  line.end();
  co_await cluster.rpc->stop();
  if (!report)
    co_return fail(report.error().code, "fsck needs every shard of the cluster: " + report.error().text);
  out = std::move(*report);
  co_return Result<void>();
}

Result<void> check(Options options, Cli& cli) {
  log::set_level(log::Level::error);
  TRY_ASSIGN(const cluster::ClusterSpec spec, load_cluster_file(options.file));
  data::FsckReport report;
  TRY(run_on_reactor([&](runtime::Reactor& reactor) { return run(reactor, spec, options, report); }));
  if (options.json)
    std::fputs((to_json(report).dump(2) + "\n").c_str(), stdout);
  else
    print(report, options.repair);
  if (report.found() > report.repaired()) cli.exit_code = kLeftWrong;
  return {};
}

}  // namespace

void add_fsck(Cli& cli) {
  auto options = std::make_shared<Options>();
  CLI::App* command = add_command(cli, "fsck", "check the file system while it is in use",
                                  [options, &cli]() -> Result<void> { return check(*options, cli); });
  command->add_option("address", options->address,
                      "HOST:PORT of any node (default: those of the cluster file)");
  add_option(command, "cluster", options->file, "the cluster's file")->capture_default_str();
  command->add_flag("--repair", options->repair, "mend what is wrong");
  command->add_flag("--json", options->json, "for scripts");
  command->add_flag("--quiet", options->quiet, "no progress on standard error");
}

}  // namespace claudefs::app
