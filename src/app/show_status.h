// Prints a cluster's status: for `claudefs status` and `claudefs playground status`.
#pragma once

#include <string>

#include "base/result.h"
#include "cluster/spec.h"

namespace claudefs::app {

struct StatusOptions {
  std::string address;  // ask this node first; "" for those of the spec
  bool json = false;
  bool watch = false;
};
Result<void> show_status(const cluster::ClusterSpec& spec, StatusOptions options);

}  // namespace claudefs::app
