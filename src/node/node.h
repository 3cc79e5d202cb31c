// One node of a cluster: wires the stores, consensus, metadata, data plane and RPC server together in their
// order. The server process runs one; the simulator runs many in one world.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "cluster/membership.h"
#include "data/node_service.h"
#include "meta/shard_service.h"
#include "raft/host.h"
#include "store/devices.h"
#include "store/kv.h"

namespace claudefs::node {

class Node;

struct Options {
  cluster::ClusterSpec spec;
  NodeId self{};
  store::DeviceDirectories directories;
  u64 size_bytes = 0;       // that `data` may hold; 0: what its disk has
  u64 fast_bytes = 0;       // that `fast` may hold, likewise
  u64 raft_file_bytes = 0;  // of each of the Raft log's files; 0: a share of the disk
  runtime::Duration scrub_every = data::kScrubEvery;    // so often it reads all that it holds
  runtime::Duration reduce_after = data::kReduceAfter;  // see data/node_service.h
  meta::SplitPolicy split;
  std::size_t proposals_max = raft::HostOptions().proposals_max;  // of a shard, under way: clients wait
  // Opens the metadata store in a directory of its own, which it makes.
  std::function<runtime::Task<Result<std::unique_ptr<store::Kv>>>(runtime::Env& env, std::string directory)>
      open_kv;
  std::function<u64()> resident_bytes;  // of the process, for the statistics; may be empty
  // More methods than a node's own; may be empty.
  std::function<void(Node&, net::MethodTable&)> register_methods;
};

// One of the one or two that the node keeps its data on.
struct Device {
  store::DeviceClass device_class{};
  std::string directory;
  u64 used = 0;       // bytes that this node takes there
  u64 total = 0;      // that it may take
  std::string fault;  // why it takes no data any more; empty while it is well
};

class Node {
 public:
  Node(runtime::Env& env, Options options);
  // A crash in the simulator; in production await stop() first.
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  // Recovers what its directories hold and serves. Errors name the directory, address or file at fault;
  // then stop() and destroy it.
  runtime::Task<Result<void>> start();
  // Makes all state durable and ends. Fine after a start that failed.
  runtime::Task<void> stop();

  const Options& options() const { return options_; }
  runtime::Env& env() { return env_; }
  std::string address() const;  // after start()
  cluster::NodeStats stats() const;
  std::vector<Device> devices() const;
  std::size_t connections() const;
  raft::Host& raft() { return *raft_; }
  const raft::Host& raft() const { return *raft_; }
  meta::ShardService& service() { return *service_; }
  const cluster::Membership& membership() const { return *membership_; }
  store::Journal& journal() { return *journal_; }
  store::ShardStore& shards() { return *shards_; }
  data::NodeService& data() { return *data_; }

 private:
  runtime::Task<Result<void>> open_stores();
  runtime::Task<Result<void>> size_devices();
  u64 log_bytes() const;  // of what lies on the fast device, where there is one
  std::string fault_of(store::DeviceClass device) const;
  runtime::Task<Result<void>> start_services();
  runtime::Task<Result<void>> add_shards();
  std::string address_of(NodeId node) const;
  bool is_space_short() const;  // on any node that is up
  std::vector<data::ScrubFile> files_to_scrub();

  // In the order of construction; destroyed in reverse.
  runtime::Env& env_;
  Options options_;
  net::MethodTable methods_;
  meta::OperationTable table_;
  store::Devices devices_;
  u64 data_total_ = 0;
  u64 fast_total_ = 0;  // 0: there is no such device
  u64 journal_bytes_ = 0;
  u64 raft_file_bytes_ = 0;
  const u64 incarnation_;
  std::unique_ptr<store::Kv> kv_;
  std::unique_ptr<store::Journal> journal_;
  std::unique_ptr<store::ShardStore> shards_;
  std::unique_ptr<net::Client> client_;
  std::unique_ptr<raft::Host> raft_;
  std::unique_ptr<cluster::Router> router_;
  std::unique_ptr<meta::ShardService> service_;
  std::unique_ptr<data::NodeService> data_;
  std::unique_ptr<cluster::Membership> membership_;
  std::unique_ptr<net::Server> server_;
};

}  // namespace claudefs::node
