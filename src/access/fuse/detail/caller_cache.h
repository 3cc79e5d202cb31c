// The supplementary groups of callers, remembered for a short time: asking for them costs a system call.
#pragma once

#include <functional>
#include <map>
#include <tuple>
#include <vector>

#include "client/types.h"
#include "runtime/env.h"

namespace claudefs::access::fuse::detail {

class CallerCache {
 public:
  using GroupsOf = std::function<std::vector<u32>(u32 pid)>;
  CallerCache(runtime::Env& env, GroupsOf groups_of, runtime::Duration valid)
      : env_(env), groups_of_(std::move(groups_of)), valid_(valid) {}

  client::Caller find(u32 pid, u32 uid, u32 gid);
  // False when nothing was remembered: what was last answered was fresh.
  bool forget(u32 pid, u32 uid, u32 gid);

 private:
  struct Known {
    std::vector<u32> groups;
    runtime::Instant asked;
    bool used_again = false;
  };
  runtime::Env& env_;
  GroupsOf groups_of_;
  runtime::Duration valid_;
  std::map<std::tuple<u32, u32, u32>, Known> known_;
};

}  // namespace claudefs::access::fuse::detail
