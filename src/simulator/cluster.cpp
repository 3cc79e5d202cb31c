#include "simulator/cluster.h"

#include <utility>

#include <fmt/format.h>

#include "meta/names.h"
#include "simulator/detail/image_kv.h"

namespace claudefs::simulator {

using namespace std::chrono_literals;

namespace {
constexpr runtime::Duration kStartAgainAfter = 2s;  // as a service manager does
constexpr runtime::Duration kScrubEvery = 1min;     // so that it meets everything else
constexpr runtime::Duration kMergeAfter = 2s;       // of small fragments of directories
constexpr runtime::Duration kMergeLate = 1min;
constexpr runtime::Duration kReduceAfter = 3s;  // and so that chunks become deltas at all

cluster::ClusterSpec make_spec(const ClusterOptions& options) {
  cluster::ClusterSpec spec;
  spec.name = "simulated";
  spec.secret = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
  for (std::size_t i = 0; i < spec.id.size(); ++i) spec.id[i] = static_cast<std::byte>(i + 1);
  spec.shards = options.shards;
  spec.trash_hours = options.trash ? 24 : 0;
  for (u32 i = 0; i < options.servers; ++i)
    spec.nodes.push_back({NodeId{static_cast<u16>(i + 1)}, fmt::format("server{}:7000", i + 1)});
  return spec;
}

sim::FaultOptions clocks_of(const ClusterOptions& options) {
  sim::FaultOptions out;
  out.clock_skew_max = options.clock_skew_max;
  out.clock_drift_max = options.clock_drift_max;
  return out;
}
}  // namespace

Cluster::Cluster(ClusterOptions options)
    : options_(options), spec_(make_spec(options)), world_(options.seed, clocks_of(options)) {
  world_.faults().disk_bytes = options.server_bytes * 2;
  for (u32 i = 0; i < options_.servers; ++i) {
    servers_.push_back(std::make_unique<Server>());
    servers_.back()->number = i;
    servers_.back()->machine = &world_.add_node(fmt::format("server{}", i + 1));
  }
  for (u32 i = 0; i < options_.clients; ++i) add_client();
}

Client& Cluster::add_client() {
  clients_.push_back(std::make_unique<Client>());
  Client& client = *clients_.back();
  client.number = static_cast<u32>(clients_.size() - 1);
  client.machine = &world_.add_node(fmt::format("client{}", clients_.size()));
  return client;
}

Cluster::~Cluster() {
  for (auto& client : clients_)
    if (client->machine->is_up()) crash_client(*client);
  for (auto& server : servers_)
    if (server->machine->is_up()) crash_server(*server);
}

void Cluster::start_server(Server& server) {
  if (!server.machine->is_up()) server.machine->restart();
  node::Options options;
  options.spec = spec_;
  options.self = spec_.nodes[server.number].id;
  options.directories = directories();
  options.size_bytes = options_.server_bytes;
  options.fast_bytes = options_.server_bytes / 2;
  options.raft_file_bytes = options_.raft_file_bytes;
  options.scrub_every = kScrubEvery;
  options.reduce_after = kReduceAfter;
  options.open_kv = ImageKv::open;
  if (options_.few_proposals) options.proposals_max = 2;
  if (options_.split_at != 0) {
    options.split.split_at = options_.split_at;
    options.split.merge_below = options_.split_at / 2 + 1;
    // Or hardly ever, so that what is split is emptied and removed.
    options.split.quiet_for = options_.split_at % 2 == 0 ? kMergeAfter : kMergeLate;
  }
  server.started.reset();
  server.wanted = true;
  ++server.life;
  server.node = std::make_unique<node::Node>(*server.machine, std::move(options));
  server.scope = std::make_unique<runtime::Scope>(server.machine->executor());
  server.scope->spawn(boot(&server));
}

store::DeviceDirectories Cluster::directories() const {
  store::DeviceDirectories out;
  out.data = kDataDirectory;
  if (options_.fast_devices) out.fast = kFastDirectory;
  return out;
}

void Cluster::wipe_server(Server& server, const std::string& directory) {
  server.machine->wipe_disk(directory);
  server.lacks_device = server.lacks_device || !directory.empty();
  if (directory.empty()) server.lacks_device = false;
}

runtime::Task<void> Cluster::boot(Server* server) {
  if (std::exchange(server->pairs_first, false)) {
    const store::Owner owner{spec_.id, spec_.nodes[server->number].id};
    (void)co_await store::pair_devices(*server->machine, directories(), owner).result();
  }
  server->started = co_await server->node->start().result();
  if (*server->started) {
    server->missed_nothing = server->missed_nothing || std::exchange(server->lacks_device, false);
    if (on_serving_) world_.after(0ns, on_serving_);
    co_return;
  }
  world_.count_fault("start failed");
  world_.after(kStartAgainAfter,
               [this, number = server->number, life = server->life] { start_again(number, life); });
}

void Cluster::start_again(u32 number, u64 life) {
  Server& server = *servers_[number];
  if (!server.wanted || server.life != life) return;
  const Errc why = server.started && !*server.started ? server.started->error().code : Errc::ok;
  crash_server(server);
  // What the error tells the operator to do.
  if (why == Errc::corrupt) wipe_server(server);
  if (why == Errc::not_found && options_.fast_devices) {
    world_.count_fault("device replaced");
    server.lacks_device = false;
    server.pairs_first = true;
  }
  start_server(server);
}

void Cluster::crash_server(Server& server) {
  server.wanted = false;
  server.machine->crash();
  server.scope.reset();
  server.node.reset();
  server.started.reset();
}

void Cluster::start_client(Client& client, std::function<void(Client&)> on_ready) {
  if (!client.machine->is_up()) client.machine->restart();
  client::ClusterMount::Settings settings =
      mount_settings(options_.second_volume ? kSecondVolume : meta::kDefaultVolumeName);
  settings.connect_within = 10min;
  ++client.life;
  client.mount = std::make_unique<client::ClusterMount>(*client.machine, std::move(settings));
  client.scope = std::make_unique<runtime::Scope>(client.machine->executor());
  client.scope->spawn(boot(&client, std::move(on_ready)));
}

client::ClusterMount::Settings Cluster::mount_settings(std::string volume) const {
  client::ClusterMount::Settings settings;
  settings.identity = {spec_.id, NodeId{}, spec_.secret};
  for (const cluster::NodeSpec& node : spec_.nodes) settings.seeds.push_back(node.address);
  settings.chunks.cache_bytes = 1_MiB;
  settings.files.volume = std::move(volume);
  return settings;
}

InodeId Cluster::root() const {
  const VolumeId first{meta::kDefaultVolume.value + 1};
  return options_.second_volume ? meta::volume_root_id(first, 0, options_.shards) : meta::kRootInode;
}

runtime::Task<void> Cluster::make_second_volume(Client* client) {
  client::ClusterMount mount(*client->machine, mount_settings(""));
  if (co_await mount.start().result()) (void)co_await mount.files().create_volume(kSecondVolume).result();
  (void)co_await mount.stop().result();
}

runtime::Task<void> Cluster::boot(Client* client, std::function<void(Client&)> on_ready) {
  for (;;) {
    const Result<void> started = co_await client->mount->start().result();
    if (started) break;
    (void)co_await client->mount->stop().result();
    if (options_.second_volume && started.error().code == Errc::not_found)
      co_await make_second_volume(client);
    co_await client->machine->executor().sleep(1s);
  }
  client->kernel = std::make_unique<Kernel>(*client->machine, client->mount->files(), options_.kernel_pages);
  client->ready = true;
  on_ready(*client);
}

void Cluster::crash_client(Client& client) {
  client.ready = false;
  client.machine->crash();
  client.scope.reset();
  client.mount.reset();
  client.kernel.reset();
}

bool Cluster::all_serve() const {
  return std::all_of(servers_.begin(), servers_.end(), [](const auto& server) { return server->serves(); });
}

meta::ShardMachine* Cluster::machine(Server& server, ShardId shard) {
  return server.serves() ? server.node->service().machine(shard) : nullptr;
}

}  // namespace claudefs::simulator
