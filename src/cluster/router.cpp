#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/log.h"
#include "base/mutant.h"
#include "base/probe.h"
#include "cluster/detail/node_health.h"
#include "cluster/shard_call.h"

namespace claudefs::cluster {

CFS_DEFINE_MUTANT(cluster_retry_is_a_new_request, "cluster: a request that is sent again is a new one");
namespace {

using runtime::Duration;
using runtime::Instant;
using runtime::Task;
using namespace std::chrono_literals;

constexpr Duration kBackOffMin = 5ms;
constexpr Duration kBackOffMax = 500ms;
constexpr Duration kMapTimeout = 1s;
constexpr Duration kMapAgeMin = 250ms;  // after a failed round the map is fetched no more often than this

// One call_raw under way.
struct Attempts {
  std::set<NodeId> asked;  // in this round: a round ends when nobody is left to ask
  Duration back_off = kBackOffMin;
  bool maybe_applied = false;
  Error last{Errc::unavailable, "nobody was asked"};
};

class RouterImpl final : public Router {
 public:
  RouterImpl(runtime::Env& env, net::Client& client, std::vector<std::string> seeds, RouterOptions options)
      : env_(env),
        client_(client),
        seeds_(std::move(seeds)),
        options_(options),
        refreshed_(env.executor()),
        scope_(env.executor()) {}

  const ClusterMap& map() const override { return map_; }
  u16 shard_count() const override { return static_cast<u16>(map_.shards.size()); }
  std::string address_of(NodeId node) const override {
    const NodeView* view = map_.find(node);
    return view == nullptr ? std::string() : view->address;
  }

  void set_give_up_after(Duration time) override { options_.give_up_after = time; }

  Task<Result<void>> refresh() override {
    if (!refreshing_) {
      refreshing_ = true;
      scope_.spawn(fetch_map());
    }
    while (refreshing_) co_await refreshed_.wait();
    if (!refresh_error_) co_return Result<void>();
    co_return fail(*refresh_error_);
  }

  Task<Result<Buffer>> call_raw(ShardId shard, u16 kind, RequestId id, Buffer body) override {
    ShardReply reply = co_await call_for_leases(shard, kind, id, std::move(body));
    co_return std::move(reply.body);
  }

  Task<Result<ShardReply>> call_for_leases(ShardId shard, u16 kind, RequestId id, Buffer body) override {
    const Instant called = env_.now();
    Buffer request = wire::encode(ShardRequest{shard, kind, id, body});
    Attempts attempts;
    while (env_.now() - called < options_.give_up_after) {
      const Instant deadline = called + options_.give_up_after;
      if (shard_count() == 0) {
        Result<void> known = co_await refresh().result();
        if (!known) {
          if (!is_retryable(known.error().code)) co_return fail(known.error());
          attempts.last = known.error();
          co_await pause(attempts, deadline);
          continue;
        }
      }
      if (shard.value >= shard_count())
        co_return fail(Errc::invalid_argument,
                       fmt::format("shard {} of a cluster with {}", shard, shard_count()));
      const NodeId node = choose(shard, attempts);
      if (node == NodeId{}) {
        probe_suspects();
        refresh_in_background();
        co_await pause(attempts, deadline);
        continue;
      }
      const Instant began = env_.now();
      const Duration limit = std::min(options_.attempt_timeout, deadline - began);
      Result<net::Reply> raw =
          co_await client_.call(address_of(node), ShardRequest::kMethod, request, {}, limit).result();
      if (!raw) {
        if (!is_retryable(raw.error().code)) co_return fail(raw.error());
        CFS_PROBE(cluster_asked_another_node, "a request is sent to another node after a failure");
        note_failure(shard, node, began, raw.error(), attempts);
        if (CFS_MUTANT(cluster_retry_is_a_new_request))
          request = wire::encode(ShardRequest{shard, kind, {}, body});
        if (raw.error().code == Errc::overloaded) co_await pause(attempts, deadline);
        continue;
      }
      health_.good(node);
      ShardReply reply = co_await wire::decode<ShardReply>(raw->body);
      if (reply.code == Errc::ok) {
        leaders_[shard.value] = node;
        co_return std::move(reply);
      }
      attempts.last = {reply.code, fmt::format("node {}: {}", node, reply.text)};
      if (reply.code == Errc::overloaded) {
        co_await pause(attempts, deadline);
      } else if (reply.code == Errc::not_leader || reply.code == Errc::unavailable ||
                 reply.code == Errc::timed_out) {
        attempts.maybe_applied |= reply.code == Errc::timed_out;
        note_not_leader(shard, node, reply.leader_hint, attempts);
      } else {
        co_return fail(reply.code, std::move(reply.text));
      }
    }
    co_return fail(
        attempts.maybe_applied ? Errc::timed_out : Errc::unavailable,
        fmt::format("shard {}: no answer within {} ms; last: {}", shard,
                    std::chrono::duration_cast<std::chrono::milliseconds>(options_.give_up_after).count(),
                    attempts.last.to_string()));
  }

 private:
  // The leader as far as known, then the other replicas. Nodes that failed lately are left to probes in the
  // background, so that nobody waits for a dead one while a living one may already lead; but if all failed
  // lately, they are asked all the same. Node 0: nobody is left.
  NodeId choose(ShardId shard, const Attempts& attempts) const {
    const std::vector<NodeId>& replicas = map_.shards[shard.value].replicas;
    const NodeId leader = leaders_[shard.value];
    const auto fresh = [&](NodeId node) {
      return !attempts.asked.contains(node) && !health_.is_suspect(node);
    };
    if (leader != NodeId{} && fresh(leader)) return leader;
    for (NodeId node : replicas)
      if (fresh(node)) return node;
    if (!std::all_of(replicas.begin(), replicas.end(), [&](NodeId node) { return health_.is_suspect(node); }))
      return {};
    for (NodeId node : replicas)
      if (!attempts.asked.contains(node) && health_.may_ask(node, env_.now())) return node;
    return {};
  }

  // Asks each suspect node whether it is back, one question a node at a time. Of all nodes: who leads now may
  // be none of the shard's first replicas.
  void probe_suspects() {
    for (const NodeView& node : map_.nodes)
      if (health_.is_suspect(node.id) && probed_.insert(node.id).second)
        scope_.spawn(probe(node.id, node.address));
  }
  Task<void> probe(NodeId node, std::string address) {
    auto reply = co_await net::call(client_, std::move(address), GetMap{}, kMapTimeout);
    if (reply) health_.good(node);
    probed_.erase(node);
  }

  void note_failure(ShardId shard, NodeId node, Instant began, const Error& error, Attempts& attempts) {
    attempts.last = error;
    attempts.maybe_applied |= error.code == Errc::timed_out || error.code == Errc::connection_lost;
    if (error.code == Errc::overloaded) return;
    attempts.asked.insert(node);
    if (leaders_[shard.value] == node) leaders_[shard.value] = {};
    health_.bad(node, began, env_.now());
  }

  void note_not_leader(ShardId shard, NodeId node, NodeId hint, Attempts& attempts) {
    attempts.asked.insert(node);
    if (leaders_[shard.value] == node) leaders_[shard.value] = {};
    // A hint at a node that has just failed is older than the failure; one at a node asked before in this
    // round would go in circles.
    if (hint == NodeId{} || health_.is_suspect(hint) || attempts.asked.contains(hint)) return;
    if (map_.find(hint) != nullptr) leaders_[shard.value] = hint;
  }

  // Between rounds. Grows by half only, so that after an election the wait that is still running is short
  // against the election itself.
  Task<void> pause(Attempts& attempts, Instant deadline) {
    const u64 ns = static_cast<u64>(attempts.back_off.count());
    const Duration jittered{static_cast<std::int64_t>(env_.random().between(ns * 3 / 4, ns * 5 / 4))};
    co_await env_.executor().sleep_until(std::min(deadline, env_.now() + jittered));
    attempts.back_off = std::min(attempts.back_off * 3 / 2, kBackOffMax);
    attempts.asked.clear();
  }

  void refresh_in_background() {
    if (refreshing_ || env_.now() - fetched_at_ < kMapAgeMin) return;
    refreshing_ = true;
    scope_.spawn(fetch_map());
  }

  // Nodes that should be there first, then the seeds, then the rest.
  std::vector<std::string> sources() const {
    std::vector<std::string> out;
    const auto add = [&](const std::string& address) {
      if (std::find(out.begin(), out.end(), address) == out.end()) out.push_back(address);
    };
    for (const NodeView& node : map_.nodes)
      if (node.state != NodeState::down && !health_.is_suspect(node.id)) add(node.address);
    for (const std::string& seed : seeds_) add(seed);
    for (const NodeView& node : map_.nodes) add(node.address);
    return out;
  }

  Task<void> fetch_map() {
    Error last{Errc::unavailable, "no address of any node is known"};
    std::string tried;
    bool found = false;
    for (const std::string& address : sources()) {
      auto reply = co_await net::call(client_, address, GetMap{}, kMapTimeout);
      Result<void> taken = reply ? adopt(std::move(reply->message)) : fail(std::move(reply.error()));
      if (taken) {
        found = true;
        break;
      }
      last = std::move(taken.error());
      tried += (tried.empty() ? "" : ", ") + address;
    }
    refresh_error_.reset();
    if (!found)
      refresh_error_ =
          Error{is_retryable(last.code) ? Errc::unavailable : last.code,
                fmt::format("no node gave the cluster map; asked {}; last: {}", tried, last.to_string())};
    fetched_at_ = env_.now();
    refreshing_ = false;
    refreshed_.notify_all();
  }

  Result<void> adopt(ClusterMap map) {
    for (std::size_t i = 0; i < map.shards.size(); ++i)
      if (map.shards[i].shard.value != i)
        return fail(Errc::corrupt, "a cluster map with shards out of order");
    if (map.shards.empty()) return fail(Errc::corrupt, "a cluster map without shards");
    map_ = std::move(map);
    leaders_.resize(map_.shards.size());
    for (const ShardView& view : map_.shards) {
      NodeId& known = leaders_[view.shard.value];
      if ((known == NodeId{} || health_.is_suspect(known)) && !health_.is_suspect(view.leader))
        known = view.leader;
    }
    return {};
  }

  runtime::Env& env_;
  net::Client& client_;
  std::vector<std::string> seeds_;
  RouterOptions options_;
  ClusterMap map_;
  std::vector<NodeId> leaders_;  // index = shard; 0: unknown
  detail::NodeHealth health_;
  std::set<NodeId> probed_;  // a probe is under way
  bool refreshing_ = false;
  Instant fetched_at_{};
  std::optional<Error> refresh_error_;
  runtime::Condition refreshed_;
  runtime::Scope scope_;
};

}  // namespace

std::unique_ptr<Router> Router::create(runtime::Env& env, net::Client& client, std::vector<std::string> seeds,
                                       RouterOptions options) {
  return std::make_unique<RouterImpl>(env, client, std::move(seeds), options);
}

}  // namespace claudefs::cluster
