#include "simulator/stage.h"

#include <fmt/format.h>

#include "data/fsck.h"

namespace claudefs::simulator {

using namespace std::chrono_literals;

namespace {

constexpr runtime::Duration kServesWithin = 60s;

Plan make_plan(u32 servers, u64 seed, bool fast_devices) {
  Plan plan;
  plan.seed = plan.cluster.seed = seed;
  plan.cluster.servers = servers;
  plan.cluster.clients = 1;
  plan.cluster.shards = 2;
  plan.cluster.kernel_pages = false;
  plan.cluster.fast_devices = fast_devices;
  plan.cluster.server_bytes = 512_MiB;
  return plan;
}

// What takes too long may end after nobody waits for it any more.
runtime::Task<void> until_done(runtime::Task<void> work, std::shared_ptr<bool> done) {
  co_await std::move(work);
  *done = true;
}

}  // namespace

Stage::Stage(u32 servers, u64 seed, const Trace& given, bool fast_devices)
    : trace(given),
      plan(make_plan(servers, seed, fast_devices)),
      cluster(plan.cluster),
      workload(cluster, plan, report, trace) {}

void Stage::load(runtime::Instant at, const std::vector<sim::DiskImage>& disks) {
  if (at > cluster.world().now()) cluster.world().run_for(at - cluster.world().now());
  for (std::size_t i = 0; i < disks.size(); ++i) cluster.servers()[i]->machine->load_disk(disks[i]);
}

void Stage::start_servers() {
  for (const auto& server : cluster.servers()) cluster.start_server(*server);
}

bool Stage::reach(const std::string& what, runtime::Duration limit, const std::function<bool()>& holds) {
  if (cluster.world().run_until(holds, limit)) return true;
  workload.violation(fmt::format("{}: not within {} s", what, limit / 1s));
  return false;
}

bool Stage::start(Client& client) {
  if (!reach("the servers serve", kServesWithin, [this] { return cluster.all_serve(); })) return false;
  cluster.start_client(client, [](Client&) {});
  return reach("a client has a session", kServesWithin, [&] { return client.ready; });
}

bool Stage::perform(Client& client, runtime::Task<void> work, runtime::Duration limit,
                    const std::string& what) {
  const auto done = std::make_shared<bool>(false);
  client.scope->spawn(until_done(std::move(work), done));
  return reach(what, limit, [&] { return *done; });
}

std::vector<sim::DiskImage> Stage::disks() {
  std::vector<sim::DiskImage> out;
  for (const auto& server : cluster.servers()) out.push_back(server->machine->disk_image());
  return out;
}

runtime::Task<void> stop_mount(Client* client) { (void)co_await client->mount->stop().result(); }

runtime::Task<void> check_with_fsck(Cluster* cluster, Workload* workload, sim::Node* machine) {
  const cluster::ClusterSpec& spec = cluster->spec();
  net::MethodTable methods;
  const std::unique_ptr<net::Client> rpc =
      net::Client::create(*machine, {spec.id, NodeId{}, spec.secret}, &methods);
  std::vector<std::string> seeds;
  for (const cluster::NodeSpec& node : spec.nodes) seeds.push_back(node.address);
  const std::unique_ptr<cluster::Router> router = cluster::Router::create(*machine, *rpc, seeds);
  const Result<data::FsckReport> report =
      co_await data::fsck(*machine, *rpc, *router, {}, [](const data::FsckProgress&) {}).result();
  if (!report) {
    workload->violation("fsck: " + report.error().to_string());
  } else {
    for (const data::FsckFinding& finding : report->findings)
      workload->violation(fmt::format("fsck: {}: {}", finding.kind, finding.text));
  }
  co_await rpc->stop();
}

}  // namespace claudefs::simulator
