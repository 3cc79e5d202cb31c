// A cluster on this machine for trying things: real server processes, real sockets on loopback, a real mount.
//
// Layout of its directory: playground.json (what was asked for), cluster.toml, node-N/{data,fast,log,pid},
// client.{log,pid}.
#pragma once

#include <string>

#include "base/ids.h"
#include "base/result.h"
#include "cluster/spec.h"

namespace claudefs::app {

struct PlaygroundOptions {
  unsigned nodes = 3;
  std::string directory;         // absolute
  std::string mount;             // absolute; "" for no mount
  u64 size_bytes = 0;            // a node's
  u64 fast_bytes = 0;            // of a fast device of each node; 0: they have none
  unsigned trash_hours = 24;     // when it is made; then its cluster file says it
  unsigned reduce_minutes = 60;  // of its servers
};

class Playground {
 public:
  // Errors: not_found when the directory holds no playground.
  static Result<Playground> open(const std::string& directory);
  // Opens it, or makes one. Errors: invalid_argument when the directory holds something else.
  static Result<Playground> open_or_create(const PlaygroundOptions& options);

  // Starts what does not run, mounts what is not mounted, waits until the cluster answers. True if anything
  // was done.
  Result<bool> up();
  Result<void> kill_node(unsigned node);
  Result<void> start_node(unsigned node);
  Result<void> down();
  Result<void> destroy();

  const PlaygroundOptions& options() const { return options_; }
  const cluster::ClusterSpec& spec() const { return spec_; }
  std::string summary() const;

 private:
  Result<void> check_node(unsigned node) const;
  std::string node_path(unsigned node, const char* name) const;
  std::string client_path(const char* name) const;
  bool node_runs(unsigned node) const;
  bool mounted() const;
  Result<void> mount();
  Result<void> wait_until_serving();
  Result<void> stop_process(const std::string& pid_file, const std::string& what);

  PlaygroundOptions options_;
  cluster::ClusterSpec spec_;
};

std::string default_playground_directory();
std::string default_playground_mount();

}  // namespace claudefs::app
