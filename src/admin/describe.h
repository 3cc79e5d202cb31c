// What a node says of itself: version and which fast paths it uses, for `claudefs status`.
#pragma once

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

struct NodeDescription {
  std::string version;
  std::vector<Feature> features;
  static auto fields(auto& self) { return std::tie(self.version, self.features); }
};
struct DescribeNode {
  static constexpr u16 kMethod = 0x0221;
  using Reply = NodeDescription;
  static auto fields(auto&) { return std::tie(); }
};

std::vector<Feature> server_features();
// Of a mount on this machine; reads the kernel's fuse parameters.
std::vector<Feature> client_features();
void register_describe(net::MethodTable& methods);

}  // namespace claudefs::admin
