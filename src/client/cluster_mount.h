// A client of a cluster, whole: RPC client, router and file system, without an access protocol. What a mount,
// a gateway or the simulator holds.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "client/file_system.h"
#include "net/rpc.h"

namespace claudefs::client {

class ClusterMount {
 public:
  struct Settings {
    net::Identity identity;
    std::vector<std::string> seeds;  // addresses of nodes
    runtime::Duration connect_within{60'000'000'000};
    data::ChunkIo::Options chunks;
    Options files;
    cluster::RouterOptions routing;
    // Once it is started: how long an operation waits for a cluster that does not answer.
    runtime::Duration patience{60'000'000'000};
  };
  ClusterMount(runtime::Env& env, Settings settings);
  ~ClusterMount();
  ClusterMount(const ClusterMount&) = delete;
  ClusterMount& operator=(const ClusterMount&) = delete;

  // Finds the cluster and opens a session. Errors: wrong_cluster, access_denied, unavailable (no node
  // answered in time), those of FileSystem::start. After one: start() again, or stop() and destroy it.
  runtime::Task<Result<void>> start();
  // Writes back what is dirty, with a minute's patience at most. Errors: the first write-back that failed.
  runtime::Task<Result<void>> stop();
  void set_patience(runtime::Duration patience);  // also of what waits now

  FileSystem& files() { return *files_; }  // after start()
  const FileSystem& files() const { return *files_; }
  const net::Client& rpc() const { return *rpc_; }               // after start()
  const data::ChunkIo* chunks() const { return chunks_.get(); }  // nullptr before the session is open

 private:
  runtime::Task<Result<void>> find_cluster();

  // In the order of construction; destroyed in reverse.
  runtime::Env& env_;
  Settings settings_;
  net::MethodTable pushes_;  // what nodes may call on us
  std::unique_ptr<net::Client> rpc_;
  std::unique_ptr<cluster::Router> router_;
  std::shared_ptr<data::ChunkIo> chunks_;
  std::unique_ptr<FileSystem> files_;
};

}  // namespace claudefs::client
