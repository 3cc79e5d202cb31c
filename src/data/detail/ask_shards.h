// One call to each of several shards, all at once.
#pragma once

#include <map>

#include "cluster/shard_call.h"
#include "runtime/env.h"
#include "runtime/scope.h"

namespace claudefs::data {

// Errors: the first of any shard.
template <class Op>
runtime::Task<Result<std::map<ShardId, typename Op::Reply>>> ask_shards(runtime::Env& env,
                                                                        cluster::Router& router,
                                                                        std::map<ShardId, Op> ops) {
  std::vector<ShardId> shards;
  std::vector<runtime::Task<Result<typename Op::Reply>>> calls;
  for (auto& [shard, op] : ops) {
    shards.push_back(shard);
    calls.push_back(router.call(shard, std::move(op)));
  }
  std::vector<Result<typename Op::Reply>> answers =
      co_await runtime::join_all(env.executor(), std::move(calls));
  std::map<ShardId, typename Op::Reply> out;
  for (std::size_t i = 0; i < shards.size(); ++i) {
    typename Op::Reply reply = co_await std::move(answers[i]);
    out[shards[i]] = std::move(reply);
  }
  co_return out;
}

}  // namespace claudefs::data
