#include "node/node.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/log.h"
#include "store/journal.h"
#include "store/shard_store.h"

namespace claudefs::node {
namespace {

constexpr u64 kJournalMin = 64_MiB;
constexpr u64 kJournalMax = 2_GiB;
constexpr u64 kRaftFileMin = 8_MiB;
constexpr u64 kRaftFileMax = 32_MiB;
constexpr u64 kRaftFilesKept = 2;
constexpr u64 kRaftFilesMost = kRaftFilesKept + 3;  // and the one being written and two spares

}  // namespace

Node::Node(runtime::Env& env, Options options)
    : env_(env), options_(std::move(options)), incarnation_(env.random().between(1, ~u64{0})) {
  if (!options_.split.figures) options_.split.figures = std::make_shared<meta::SplitFigures>();
}
Node::~Node() = default;

std::string Node::address_of(NodeId node) const {
  const cluster::NodeSpec* spec = options_.spec.find(node);
  return spec != nullptr ? spec->address : std::string();
}
std::string Node::address() const { return server_->address(); }
std::size_t Node::connections() const { return server_->connections(); }

u64 Node::log_bytes() const { return journal_->disk_bytes() + kv_->stats().disk_bytes + raft_->log_bytes(); }

cluster::NodeStats Node::stats() const {
  cluster::NodeStats out;
  out.raw_total = data_total_ + fast_total_;
  out.journal_bytes = journal_->live_bytes();
  out.shard_bytes = shards_->used_bytes();
  out.shard_bytes_max = shards_->capacity_bytes();
  out.metadata_bytes = kv_->stats().disk_bytes;
  out.raw_used = out.shard_bytes + log_bytes();
  out.resident_bytes = options_.resident_bytes ? options_.resident_bytes() : 0;
  out.groups_led = static_cast<u32>(service_->led().size());
  out.version = CLAUDEFS_VERSION;
  out.incarnation = incarnation_;
  for (const store::DeviceClass device : {store::DeviceClass::data, store::DeviceClass::fast})
    if (out.disk_fault.empty()) out.disk_fault = fault_of(device);
  return out;
}

// The Raft log and the metadata store lie with the journal.
std::string Node::fault_of(store::DeviceClass device) const {
  std::string out = data_ ? data_->disk_fault(device) : std::string();
  const bool has_logs = options_.directories.has_fast() == (device == store::DeviceClass::fast);
  if (const std::optional<Error> failed = raft_->failure(); failed && has_logs && out.empty())
    out = options_.directories.has_fast() ? "its fast device failed: " + failed->text : failed->text;
  return out;
}

std::vector<Device> Node::devices() const {
  using store::DeviceClass;
  const bool two = options_.directories.has_fast();
  std::vector<Device> out;
  out.push_back({DeviceClass::data, options_.directories.data,
                 shards_->used_bytes() + (two ? 0 : log_bytes()), data_total_, fault_of(DeviceClass::data)});
  if (two)
    out.push_back({DeviceClass::fast, options_.directories.fast, log_bytes(), fast_total_,
                   fault_of(DeviceClass::fast)});
  return out;
}

// Well before writers are refused (data/detail/handlers.cpp), for space takes a while to come back.
bool Node::is_space_short() const {
  if (!membership_) return false;
  const cluster::ClusterMap map = membership_->map();
  return std::ranges::any_of(map.nodes, [](const cluster::NodeView& node) {
    return node.state == cluster::NodeState::up &&
           node.stats.shard_bytes > node.stats.shard_bytes_max / 8 * 7;
  });
}

runtime::Task<Result<void>> Node::start() {
  co_await open_stores();
  co_await start_services();
  co_return Result<void>();
}

runtime::Task<Result<void>> Node::open_stores() {
  const store::DeviceDirectories& directories = options_.directories;
  const store::Owner owner{options_.spec.id, options_.self};
  devices_ = co_await store::open_devices(env_, directories, owner);
  co_await size_devices();
  const u64 logs = journal_bytes_ + kRaftFilesMost * raft_file_bytes_;
  const u64 shard_bytes =
      directories.has_fast() ? data_total_ : data_total_ - std::min(data_total_ / 2, logs);
  kv_ = co_await options_.open_kv(env_, directories.metadata());
  journal_ = co_await store::Journal::open(env_, directories.journal(), journal_bytes_);
  shards_ = co_await store::ShardStore::open(env_, directories.shards(), shard_bytes);
  co_return Result<void>();
}

// Journal and Raft log get their share of the device that they lie on; the rest is for the metadata store
// there, and for shards.
runtime::Task<Result<void>> Node::size_devices() {
  const store::DeviceDirectories& directories = options_.directories;
  const auto limit = [](u64 wanted, u64 there) { return wanted != 0 ? std::min(wanted, there) : there; };
  const runtime::DiskSpace data = co_await env_.disk().space(directories.data);
  data_total_ = limit(options_.size_bytes, data.total);
  if (directories.has_fast()) {
    const runtime::DiskSpace fast = co_await env_.disk().space(directories.fast);
    fast_total_ = limit(options_.fast_bytes, fast.total);
  }
  const u64 size = directories.has_fast() ? fast_total_ : data_total_;
  journal_bytes_ = std::clamp(size / 8, kJournalMin, kJournalMax);
  raft_file_bytes_ = options_.raft_file_bytes != 0 ? options_.raft_file_bytes
                                                   : std::clamp(size / 64, kRaftFileMin, kRaftFileMax);
  const u64 logs = journal_bytes_ + kRaftFilesMost * raft_file_bytes_;
  if (directories.has_fast() && logs > fast_total_ / 2)
    co_return fail(
        Errc::no_space,
        fmt::format(
            "the fast device {} may hold {} MiB, and journal and Raft log alone take {} MiB of it: give "
            "it {} MiB at least (--fast-size, or a larger disk)",
            directories.fast, fast_total_ / 1_MiB, logs / 1_MiB, 2 * logs / 1_MiB));
  co_return Result<void>();
}

runtime::Task<Result<void>> Node::start_services() {
  const cluster::ClusterSpec& spec = options_.spec;
  const net::Identity self{spec.id, options_.self, spec.secret};
  client_ = net::Client::create(env_, self, &methods_);
  raft::HostOptions raft_options;
  raft_options.self = options_.self;
  raft_options.log_directory = options_.directories.raft();
  raft_options.log_file_bytes = raft_file_bytes_;
  raft_options.log_keep_bytes = kRaftFilesKept * raft_file_bytes_;
  raft_options.proposals_max = options_.proposals_max;
  for (const cluster::NodeSpec& node : spec.nodes) raft_options.nodes.push_back(node.id);
  raft_options.groups = spec.shards;
  raft_options.adopt = [this](ShardId shard) { return service_->add_shard(shard, {}); };
  std::function<std::string(NodeId)> addresses = [this](NodeId id) { return address_of(id); };
  raft_ = co_await raft::Host::open(env_, *client_, methods_, raft_options, addresses);

  std::vector<std::string> seeds;
  for (const cluster::NodeSpec& peer : spec.nodes) seeds.push_back(peer.address);
  router_ = cluster::Router::create(env_, *client_, seeds);
  meta::register_namespace(table_);
  data::register_data(table_);
  meta::ShardService::Parts parts{env_, *raft_, *router_, methods_, *kv_, table_};
  service_ = meta::ShardService::create(parts, spec.shards);
  const std::chrono::hours keep_trash(spec.trash_hours);
  meta::register_namespace(*service_, meta::TrashPolicy{keep_trash, [this] { return is_space_short(); }},
                           options_.split);
  data::NodeService::Parts data_parts{env_,
                                      *client_,
                                      *router_,
                                      methods_,
                                      *journal_,
                                      *shards_,
                                      *service_,
                                      options_.self,
                                      options_.scrub_every,
                                      [this] { return files_to_scrub(); },
                                      options_.reduce_after,
                                      options_.directories.has_fast()};
  data_ = data::NodeService::create(data_parts);
  co_await add_shards();
  std::function<cluster::Heartbeat()> own = [this] {
    return cluster::Heartbeat{options_.self, stats(), service_->led()};
  };
  membership_ = cluster::Membership::start(env_, *client_, methods_, spec, options_.self, std::move(own));
  if (options_.register_methods) options_.register_methods(*this, methods_);
  server_ = co_await net::Server::start(env_, address_of(options_.self), self, methods_);
  raft_->start();
  service_->start();
  co_return Result<void>();
}

std::vector<data::ScrubFile> Node::files_to_scrub() {
  std::vector<data::ScrubFile> out;
  out.push_back({"superblock", 1, [this] {
                   return store::verify_superblock(env_, options_.directories.data, devices_.data);
                 }});
  if (devices_.fast)
    out.push_back({"fast superblock", 1, [this] {
                     return store::verify_superblock(env_, options_.directories.fast, *devices_.fast);
                   }});
  for (const auto& [number, bytes] : raft_->log_files())
    out.push_back(
        {fmt::format("raft {}", number), bytes, [this, number] { return raft_->verify_log(number); }});
  for (const auto& [number, bytes] : journal_->files())
    out.push_back(
        {fmt::format("journal {}", number), bytes, [this, number] { return journal_->verify(number); }});
  for (const auto& [name, bytes] : kv_->files())
    out.push_back({"meta" + name, bytes, [this, name] { return kv_->verify(name); }});
  return out;
}

runtime::Task<Result<void>> Node::add_shards() {
  for (u16 shard = 0; shard < options_.spec.shards; ++shard) {
    std::vector<NodeId> replicas = cluster::replicas_of(options_.spec, ShardId{shard});
    if (std::find(replicas.begin(), replicas.end(), options_.self) == replicas.end()) continue;
    co_await service_->add_shard(ShardId{shard}, std::move(replicas));
  }
  // Those that it was made a member of since.
  for (ShardId shard : raft_->groups_in_log())
    if (service_->machine(shard) == nullptr) co_await service_->add_shard(shard, {});
  co_return Result<void>();
}

runtime::Task<void> Node::stop() {
  if (membership_) co_await membership_->stop();
  if (server_) co_await server_->stop();
  if (data_) co_await data_->stop();
  if (service_) {
    const Result<void> saved = co_await service_->checkpoint();
    if (!saved) log::warn("server", "last checkpoint failed", {log::kv("error", saved.error().to_string())});
    co_await service_->stop();
  }
  if (raft_) co_await raft_->stop();
  if (client_) co_await client_->stop();
  if (journal_) co_await journal_->stop();
  if (shards_) co_await shards_->stop();
}

}  // namespace claudefs::node
