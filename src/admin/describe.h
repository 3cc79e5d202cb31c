// What a node says of itself: version, which fast paths it uses, and its devices, for `claudefs status`.
#pragma once

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "net/rpc.h"

namespace claudefs::admin {

// A fast path that is probed at start, used where present, and does without where absent.
struct Feature {
  std::string name;
  bool on = false;
  std::string why;
  static auto fields(auto& self) { return std::tie(self.name, self.on, self.why); }
};

// A directory that the node keeps data in; two where it has a fast one. In bytes.
struct Device {
  std::string name;  // "data" or "fast"
  std::string directory;
  u64 used = 0;       // by this node
  u64 total = 0;      // that it may use
  u64 free = 0;       // of the whole disk, whoever uses the rest
  std::string fault;  // why it takes no data any more; empty while it is well
  static auto fields(auto& self) {
    return std::tie(self.name, self.directory, self.used, self.total, self.free, self.fault);
  }
  u64 available() const { return std::min(total - std::min(total, used), free); }
  bool is_nearly_full() const { return available() < total / 10; }
};

struct NodeDescription {
  std::string version;
  std::vector<Feature> features;
  std::vector<Device> devices;
  static auto fields(auto& self) { return std::tie(self.version, self.features, self.devices); }
};
struct DescribeNode {
  static constexpr u16 kMethod = 0x0221;
  using Reply = NodeDescription;
  static auto fields(auto&) { return std::tie(); }
};

std::vector<Feature> server_features();
// Of a mount on this machine; reads the kernel's fuse parameters.
std::vector<Feature> client_features();
// `devices` is asked for each answer.
using AskDevices = std::function<runtime::Task<std::vector<Device>>()>;
void register_describe(net::MethodTable& methods, AskDevices devices);

}  // namespace claudefs::admin
