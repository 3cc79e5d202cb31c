// A node: wires the modules together in their order, runs until told to stop.
#pragma once

#include <functional>
#include <string>

#include "cluster/spec.h"
#include "runtime/reactor.h"
#include "store/devices.h"

namespace claudefs::app {

struct ServerOptions {
  cluster::ClusterSpec spec;
  NodeId node{};
  store::DeviceDirectories directories;
  std::string metrics_address;   // "" for none
  u64 size_bytes = 0;            // that the data directory may hold; 0: what its disk has
  u64 fast_bytes = 0;            // that the fast one may hold, likewise
  u64 cache_bytes = 64u << 20;   // of metadata
  unsigned scrub_days = 14;      // between the beginnings of two passes over all that it holds
  unsigned reduce_minutes = 60;  // without a change, until stored chunks' turn in the second tier comes
  std::function<void()> on_ready;
};

// Runs a node on `reactor` until SIGTERM or SIGINT. Errors name the directory, address or file at fault.
runtime::Task<Result<void>> serve(runtime::Reactor& reactor, ServerOptions options);

}  // namespace claudefs::app
