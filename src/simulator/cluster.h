// A whole cluster in one simulated world: servers and clients, each the production stack on a machine of its
// own. Call everything from outside the machines' coroutines: between runs, or from World::after.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/cluster_mount.h"
#include "node/node.h"
#include "runtime/scope.h"
#include "sim/node.h"
#include "simulator/kernel.h"

namespace claudefs::simulator {

struct ClusterOptions {
  u64 seed = 0;
  u32 servers = 3;
  u32 clients = 3;
  u16 shards = 8;
  bool kernel_pages = true;  // of clients: kernel.h
  runtime::Duration clock_skew_max{0};
  u32 clock_drift_max = 0;      // millionths
  bool second_volume = false;   // clients mount it: kSecondVolume, made by the first that looks for it
  bool trash = false;           // what is unlinked stays in the trash for a day
  bool few_proposals = false;   // servers take two commands a shard at once: clients are often told to wait
  u64 split_at = 0;             // entries at which directories are split; 0: as in production
  bool fast_devices = false;    // servers have two: kDataDirectory and kFastDirectory on the same disk
  u64 server_bytes = 2_GiB;     // that each may use; its journal is in proportion
  u64 raft_file_bytes = 1_MiB;  // of a server's Raft log
};

inline constexpr const char* kSecondVolume = "second";
inline constexpr const char* kDataDirectory = "data";
inline constexpr const char* kFastDirectory = "fast";

// A machine that runs one server process.
struct Server {
  u32 number = 0;  // from 0; its NodeId is one more
  sim::Node* machine = nullptr;
  std::unique_ptr<node::Node> node;
  std::unique_ptr<runtime::Scope> scope;
  bool wanted = false;                  // should run: restarted after a start that failed
  std::optional<Result<void>> started;  // the outcome of the start
  u64 life = 0;                         // counts starts
  bool lacks_device = false;            // one of its two is lost, and it has not said so yet
  bool missed_nothing = false;          // it began to serve all the same
  bool pairs_first = false;             // its operator has put an empty device in place of the lost one
  bool serves() const { return started && *started; }
};

// A machine that runs one client process.
struct Client {
  u32 number = 0;
  sim::Node* machine = nullptr;
  std::unique_ptr<Kernel> kernel;
  std::unique_ptr<client::ClusterMount> mount;
  std::unique_ptr<runtime::Scope> scope;  // what runs on it, its operations too
  bool ready = false;
  u64 life = 0;
  client::FileSystem& files() { return mount->files(); }
};

class Cluster {
 public:
  explicit Cluster(ClusterOptions options);
  ~Cluster();
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  sim::World& world() { return world_; }
  const ClusterOptions& options() const { return options_; }
  const cluster::ClusterSpec& spec() const { return spec_; }
  std::vector<std::unique_ptr<Server>>& servers() { return servers_; }
  std::vector<std::unique_ptr<Client>>& clients() { return clients_; }

  void start_server(Server& server);
  void crash_server(Server& server);  // no restart follows by itself
  // Of a server that is down: all of it is gone, or one of its two devices.
  void wipe_server(Server& server, const std::string& directory = {});
  void restart_server(Server& server) {
    if (server.machine->is_up()) crash_server(server);
    start_server(server);
  }
  // `on_ready` runs when the client has a session; it may spawn on the client's scope.
  void start_client(Client& client, std::function<void(Client&)> on_ready);
  void crash_client(Client& client);
  Client& add_client();  // of its own machine, not started
  // Called whenever a server has come to serve.
  void on_serving(std::function<void()> action) { on_serving_ = std::move(action); }

  // Of what clients mount.
  InodeId root() const;
  client::ClusterMount::Settings mount_settings(std::string volume) const;

  bool all_serve() const;
  // Replica of a shard at a server: nullptr when it has none, or does not serve.
  meta::ShardMachine* machine(Server& server, ShardId shard);

 private:
  runtime::Task<void> boot(Server* server);
  store::DeviceDirectories directories() const;
  runtime::Task<void> boot(Client* client, std::function<void(Client&)> on_ready);
  runtime::Task<void> make_second_volume(Client* client);
  void start_again(u32 number, u64 life);

  ClusterOptions options_;
  cluster::ClusterSpec spec_;
  sim::World world_;
  std::function<void()> on_serving_;
  std::vector<std::unique_ptr<Server>> servers_;
  std::vector<std::unique_ptr<Client>> clients_;
};

}  // namespace claudefs::simulator
