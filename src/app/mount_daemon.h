// The process behind a mount: a client of the cluster and a FUSE session, until unmounted or told to stop.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "access/fuse/mount.h"
#include "access/fuse/session.h"
#include "client/file_system.h"
#include "cluster/spec.h"
#include "runtime/reactor.h"

namespace claudefs::app {

struct MountDaemonOptions {
  cluster::ClusterSpec spec;
  std::vector<std::string> seeds;  // nodes to ask first
  std::string volume;
  access::fuse::MountOptions mount;
  access::fuse::SessionOptions session;
  std::string metrics_address;  // "" for none
  u64 cache_bytes = 64u << 20;  // of content
  u64 dirty_bytes = 64u << 20;
  runtime::Duration connect_within{30'000'000'000};
  bool squash_root = false;
  bool keep_removed = true;  // in the trash
  client::AccessTimes access_times = client::AccessTimes::relative;
  std::function<void()> on_mounted;
};

// Errors: unavailable when the cluster does not answer within `connect_within`; what mounting gives.
runtime::Task<Result<void>> serve_mount(runtime::Reactor& reactor, MountDaemonOptions options);

}  // namespace claudefs::app
