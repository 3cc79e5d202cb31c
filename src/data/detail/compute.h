// Heavy work on bytes, off the reactor and in parallel where it is much, in place where it is little.
#pragma once

#include <functional>
#include <memory>

#include "runtime/env.h"
#include "runtime/scope.h"

namespace claudefs::data {

// Calls work(0) ... work(count - 1). `bytes`: how much they touch together. `work` must own what it touches:
// it may outlive the awaiting coroutine.
runtime::Task<void> compute(runtime::Env& env, std::size_t count, u64 bytes,
                            std::function<void(std::size_t)> work);

}  // namespace claudefs::data
