// How a command reaches a cluster: the cluster file, the identity that it gives, a client and a router.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "client/file_system.h"
#include "cluster/shard_call.h"
#include "cluster/spec.h"
#include "net/rpc.h"
#include "runtime/reactor.h"

namespace claudefs::app {

inline constexpr const char* kClusterFile = "/etc/claudefs/cluster.toml";

// Reads and parses; errors name the file and the mend.
Result<cluster::ClusterSpec> load_cluster_file(const std::string& path);
net::Identity identity_of(const cluster::ClusterSpec& spec, NodeId self);
std::vector<std::string> addresses_of(const cluster::ClusterSpec& spec);
// A new cluster: random id and secret.
Result<cluster::ClusterSpec> make_cluster(std::string name, std::vector<cluster::NodeSpec> nodes, u16 shards,
                                          u32 trash_hours = cluster::ClusterSpec().trash_hours);

// Runs `work` on a fresh reactor and gives its result.
Result<void> run_on_reactor(std::function<runtime::Task<Result<void>>(runtime::Reactor&)> work);

// A session for the length of one command: `work` on the files of the cluster that `cluster_file` names.
Result<void> run_on_files(
    const std::string& cluster_file, client::Options options,
    std::function<runtime::Task<Result<void>>(runtime::Env&, client::FileSystem&)> work);

// A client of the cluster for the length of one command.
struct ClusterClient {
  std::unique_ptr<net::Client> rpc;
  std::unique_ptr<cluster::Router> router;
};
ClusterClient connect_cluster(runtime::Env& env, const cluster::ClusterSpec& spec,
                              std::vector<std::string> seeds, runtime::Duration give_up_after);

}  // namespace claudefs::app
