#include "app/cluster_access.h"

#include <sys/random.h>

#include <fmt/format.h>

#include "app/process.h"
#include "base/log.h"
#include "client/cluster_mount.h"

namespace claudefs::app {

Result<cluster::ClusterSpec> load_cluster_file(const std::string& path) {
  Result<std::string> text = read_file(path);
  if (!text)
    return fail(Errc::not_configured, fmt::format("cluster file {}: {}; name the right one with --cluster, "
                                                  "or make one with `claudefs cluster init`",
                                                  path, text.error().text));
  Result<cluster::ClusterSpec> spec = cluster::parse_spec(*text);
  if (!spec) return fail(Errc::not_configured, fmt::format("cluster file {}: {}", path, spec.error().text));
  return std::move(*spec);
}

net::Identity identity_of(const cluster::ClusterSpec& spec, NodeId self) {
  return {spec.id, self, spec.secret};
}

std::vector<std::string> addresses_of(const cluster::ClusterSpec& spec) {
  std::vector<std::string> out;
  for (const cluster::NodeSpec& node : spec.nodes) out.push_back(node.address);
  return out;
}

Result<cluster::ClusterSpec> make_cluster(std::string name, std::vector<cluster::NodeSpec> nodes, u16 shards,
                                          u32 trash_hours) {
  cluster::ClusterSpec spec;
  spec.name = std::move(name);
  spec.nodes = std::move(nodes);
  spec.shards = shards;
  spec.trash_hours = trash_hours;
  unsigned char secret[32];
  if (::getrandom(spec.id.data(), spec.id.size(), 0) != static_cast<ssize_t>(spec.id.size()) ||
      ::getrandom(secret, sizeof secret, 0) != static_cast<ssize_t>(sizeof secret))
    return fail_errno(errno, "draw a cluster secret");
  for (unsigned char byte : secret) spec.secret += fmt::format("{:02x}", byte);
  return spec;
}

namespace {
runtime::Task<void> keep_result(runtime::Task<Result<void>> work, Result<void>& out) {
  out = co_await std::move(work);
}
}  // namespace

Result<void> run_on_reactor(std::function<runtime::Task<Result<void>>(runtime::Reactor&)> work) {
  TRY_ASSIGN(std::unique_ptr<runtime::Reactor> reactor, runtime::Reactor::create());
  Result<void> result;
  reactor->run(keep_result(work(*reactor), result));
  return result;
}

namespace {
using FileWork = std::function<runtime::Task<Result<void>>(runtime::Env&, client::FileSystem&)>;

runtime::Task<Result<void>> with_files(runtime::Reactor& reactor, client::ClusterMount::Settings settings,
                                       FileWork work) {
  client::ClusterMount mount(reactor.env(), std::move(settings));
  Result<void> outcome = co_await mount.start().result();
  if (outcome) outcome = co_await work(reactor.env(), mount.files()).result();
  const Result<void> stopped = co_await mount.stop().result();
  co_return outcome ? stopped : outcome;
}
}  // namespace

Result<void> run_on_files(const std::string& cluster_file, client::Options options, FileWork work) {
  log::set_level(log::Level::error);
  TRY_ASSIGN(const cluster::ClusterSpec spec, load_cluster_file(cluster_file));
  client::ClusterMount::Settings settings;
  settings.identity = identity_of(spec, NodeId{});
  settings.seeds = addresses_of(spec);
  settings.connect_within = std::chrono::seconds(30);
  settings.files = std::move(options);
  return run_on_reactor([&](runtime::Reactor& reactor) { return with_files(reactor, settings, work); });
}

ClusterClient connect_cluster(runtime::Env& env, const cluster::ClusterSpec& spec,
                              std::vector<std::string> seeds, runtime::Duration give_up_after) {
  ClusterClient out;
  out.rpc = net::Client::create(env, identity_of(spec, NodeId{}));
  if (seeds.empty()) seeds = addresses_of(spec);
  cluster::RouterOptions options;
  options.give_up_after = give_up_after;
  out.router = cluster::Router::create(env, *out.rpc, std::move(seeds), options);
  return out;
}

}  // namespace claudefs::app
