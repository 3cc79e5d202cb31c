// Calls to data nodes, with a short memory of who failed: those are avoided before the cluster map knows.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cluster/shard_call.h"
#include "net/rpc.h"
#include "runtime/env.h"
#include "runtime/scope.h"

namespace claudefs::data {

class Nodes {
 public:
  Nodes(runtime::Env& env, net::Client& client, cluster::Router& router)
      : env_(env), client_(client), router_(router) {}

  template <class M>
  runtime::Task<Result<net::TypedReply<typename M::Reply>>> call(NodeId node, M message,
                                                                 runtime::Duration timeout,
                                                                 Buffer payload = {}) {
    const std::string address = router_.address_of(node);
    if (address.empty()) co_return fail(Errc::unavailable, fmt::format("node {} has no known address", node));
    auto reply =
        co_await net::call(client_, address, std::move(message), timeout, std::move(payload)).result();
    if (!reply) note(node, reply.error());
    co_return reply;
  }

  // In the map as up, and not failed just now.
  bool usable(NodeId node) const;
  std::vector<NodeId> usable() const;  // sorted
  // Usable, and its disk takes data: where new shards and journals may go.
  bool writable(NodeId node) const;
  std::vector<NodeId> writable() const;  // sorted
  std::vector<NodeId> up() const;        // as the map says
  std::size_t total() const { return router_.map().nodes.size(); }
  // Fetches the map again, unless that was done within the last second.
  runtime::Task<void> refresh();

 private:
  void note(NodeId node, const Error& error);

  runtime::Env& env_;
  net::Client& client_;
  cluster::Router& router_;
  std::map<NodeId, runtime::Instant> avoid_until_;
  runtime::Instant refreshed_{INT64_MIN / 2};
};

}  // namespace claudefs::data
