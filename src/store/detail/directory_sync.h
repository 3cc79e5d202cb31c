// Makes many changes in one directory durable with few syncs: those that come while one runs share the next.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "runtime/env.h"
#include "runtime/sync.h"

namespace claudefs::store::detail {

class DirectorySync {
 public:
  explicit DirectorySync(runtime::Env& env) : env_(env) {}
  // Every change made in `path` before the call is durable when it ends.
  runtime::Task<Result<void>> sync(std::string path);

 private:
  // Shared with the waiting frames, which may be destroyed in any order.
  struct Group {
    explicit Group(runtime::Executor& executor) : done(executor) {}
    runtime::Condition done;
    bool running = false;
    u64 started = 0;
    u64 finished = 0;
    u64 failed = 0;  // the last that failed
    Error error;
  };
  struct Run;

  runtime::Env& env_;
  std::map<std::string, std::shared_ptr<Group>> groups_;
};

}  // namespace claudefs::store::detail
