// `claudefs quota`: what volumes, users and groups use. docs/quotas.md.
#include "client/quota.h"

#include <grp.h>
#include <pwd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "app/cli.h"
#include "app/cluster_access.h"
#include "app/text.h"
#include "base/log.h"

namespace claudefs::app {
using namespace std::chrono_literals;
namespace {

struct Options {
  std::string file = kClusterFile;
  bool json = false;
};

std::string_view name_of(meta::QuotaKind kind) {
  constexpr std::string_view kNames[] = {"unknown", "volume", "user", "group", "directory"};
  const auto number = static_cast<std::size_t>(kind);
  return kNames[number < std::size(kNames) ? number : 0];
}

// As this machine knows it.
std::string name_of(const meta::QuotaSubject& subject) {
  const auto id = static_cast<u32>(subject.id);
  switch (subject.kind) {
    case meta::QuotaKind::user:
      if (const passwd* user = ::getpwuid(id)) return fmt::format("{} ({})", user->pw_name, id);
      return std::to_string(id);
    case meta::QuotaKind::group:
      if (const group* found = ::getgrgid(id)) return fmt::format("{} ({})", found->gr_name, id);
      return std::to_string(id);
    case meta::QuotaKind::directory:
      return fmt::format("{:x}", subject.id);
    default:
      return "";
  }
}

using Uses = std::map<meta::QuotaSubject, meta::QuotaUse>;

std::string to_json(const Uses& uses) {
  nlohmann::json all = nlohmann::json::array();
  for (const auto& [subject, use] : uses)
    all.push_back({{"kind", name_of(subject.kind)},
                   {"volume", subject.volume.value},
                   {"id", subject.id},
                   {"bytes", use.bytes},
                   {"inodes", use.inodes}});
  return all.dump(2) + "\n";
}

std::string to_text(const Uses& uses) {
  std::vector<std::vector<std::string>> rows = {{"volume", "quota of", "", "used", "inodes"}};
  for (const auto& [subject, use] : uses)
    rows.push_back({std::to_string(subject.volume.value), std::string(name_of(subject.kind)),
                    name_of(subject), format_size(static_cast<u64>(std::max<i64>(0, use.bytes))),
                    std::to_string(use.inodes)});
  return format_table(rows);
}

runtime::Task<Result<void>> report(runtime::Reactor& reactor, cluster::ClusterSpec spec, Options options) {
  const ClusterClient cluster = connect_cluster(reactor.env(), spec, {}, 30s);
  const Result<Uses> uses = co_await client::read_quota_use(*cluster.router).result();
  co_await cluster.rpc->stop();
  if (!uses)
    co_return fail(uses.error().code, "quota needs every shard of the cluster: " + uses.error().text);
  std::fputs((options.json ? to_json(*uses) : to_text(*uses)).c_str(), stdout);
  co_return Result<void>();
}

Result<void> run_report(const Options& options) {
  log::set_level(log::Level::error);
  TRY_ASSIGN(const cluster::ClusterSpec spec, load_cluster_file(options.file));
  return run_on_reactor([&](runtime::Reactor& reactor) { return report(reactor, spec, options); });
}

}  // namespace

void add_quota(Cli& cli) {
  const auto options = std::make_shared<Options>();
  CLI::App* group = cli.root.add_subcommand("quota", "show what volumes, users and groups use");
  group->require_subcommand(1);
  CLI::App* verb = group->add_subcommand("report", "what everybody uses, in bytes and inodes");
  verb->final_callback([&cli, options] { cli.run = [options] { return run_report(*options); }; });
  add_option(verb, "cluster", options->file, "the cluster's file")->capture_default_str();
  verb->add_flag("--json", options->json, "for scripts");
}

}  // namespace claudefs::app
