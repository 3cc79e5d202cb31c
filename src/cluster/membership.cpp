#include "cluster/membership.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"

namespace claudefs::cluster {

using runtime::Duration;
using runtime::Instant;
using runtime::Task;

const NodeView* ClusterMap::find(NodeId node) const {
  for (const NodeView& view : nodes)
    if (view.id == node) return &view;
  return nullptr;
}
std::vector<NodeId> ClusterMap::up() const {
  std::vector<NodeId> out;
  for (const NodeView& view : nodes)
    if (view.state == NodeState::up) out.push_back(view.id);
  return out;
}

namespace {

// What was heard of whom. Shared with the handlers, which may outlive the Membership.
struct Heard {
  Heard(runtime::Env& e, const ClusterSpec& s, NodeId me, std::function<Heartbeat()> own_figures,
        MembershipOptions o)
      : env(e),
        spec(s),
        self(me),
        own(std::move(own_figures)),
        options(o),
        began(e.now()),
        leaders(s.shards) {
    for (u16 shard = 0; shard < s.shards; ++shard) replicas.push_back(replicas_of(s, ShardId{shard}));
  }

  struct Member {
    std::optional<Instant> at;
    NodeStats stats;
    std::vector<ShardId> leads;  // sorted
  };

  void take(NodeId from, NodeStats stats, std::vector<ShardId> leads) {
    Member& member = members[from];
    std::sort(leads.begin(), leads.end());
    for (ShardId shard : leads) {
      if (shard.value >= leaders.size()) continue;
      // The newest claim wins: one that a deposed leader merely repeats does not displace it.
      const bool fresh = !std::binary_search(member.leads.begin(), member.leads.end(), shard);
      NodeId& leader = leaders[shard.value];
      if (fresh || leader == NodeId{} || state_of(leader) != NodeState::up) leader = from;
    }
    for (ShardId shard : member.leads)
      if (shard.value < leaders.size() && leaders[shard.value] == from &&
          !std::binary_search(leads.begin(), leads.end(), shard))
        leaders[shard.value] = {};
    member.at = env.now();
    member.stats = std::move(stats);
    member.leads = std::move(leads);
  }
  // This node's own figures, taken in like anybody's.
  Heartbeat own_beat() {
    Heartbeat mine = own ? own() : Heartbeat{};
    mine.from = self;
    if (own) take(self, mine.stats, mine.leads);
    return mine;
  }
  NodeState state_of(NodeId node) const {
    if (node == self) return NodeState::up;
    const auto at = members.find(node);
    const bool heard = at != members.end() && at->second.at.has_value();
    if (env.now() - (heard ? *at->second.at : began) > options.down_after) return NodeState::down;
    return heard ? NodeState::up : NodeState::unknown;
  }
  ClusterMap map() {
    own_beat();
    ClusterMap out{.name = spec.name, .id = spec.id, .nodes = {}, .shards = {}};
    for (const NodeSpec& node : spec.nodes)
      out.nodes.push_back({node.id, node.address, state_of(node.id), members[node.id].stats});
    for (u16 s = 0; s < spec.shards; ++s) {
      const bool known = leaders[s] != NodeId{} && state_of(leaders[s]) == NodeState::up;
      out.shards.push_back({ShardId{s}, replicas[s], known ? leaders[s] : NodeId{}});
    }
    return out;
  }

  runtime::Env& env;
  ClusterSpec spec;
  NodeId self;
  std::function<Heartbeat()> own;
  MembershipOptions options;
  Instant began;
  std::map<NodeId, Member> members;
  std::vector<NodeId> leaders;                // index = shard
  std::vector<std::vector<NodeId>> replicas;  // index = shard
};

Task<Result<net::TypedReply<net::Empty>>> take_heartbeat(std::shared_ptr<Heard> heard, Heartbeat beat,
                                                         NodeId peer) {
  if (beat.from != peer || heard->spec.find(peer) == nullptr)
    co_return fail(Errc::access_denied,
                   fmt::format("a heartbeat of node {} came from node {}", beat.from, peer));
  heard->take(beat.from, std::move(beat.stats), std::move(beat.leads));
  co_return net::TypedReply<net::Empty>{};
}
Task<Result<net::TypedReply<ClusterMap>>> give_map(std::shared_ptr<Heard> heard) {
  co_return net::TypedReply<ClusterMap>{heard->map(), {}};
}

class MembershipImpl final : public Membership {
 public:
  MembershipImpl(runtime::Env& env, net::Client& client, std::shared_ptr<Heard> heard)
      : env_(env),
        client_(client),
        heard_(std::move(heard)),
        stopped_(env.executor()),
        scope_(env.executor()) {
    for (const NodeSpec& node : heard_->spec.nodes)
      if (node.id != heard_->self) scope_.spawn(beat(node));
  }
  ~MembershipImpl() override { heard_->own = nullptr; }  // it refers to objects of our owner

  ClusterMap map() const override { return heard_->map(); }
  bool is_up(NodeId node) const override { return heard_->state_of(node) == NodeState::up; }
  Task<void> stop() override {
    stopped_.set();
    co_await scope_.join();
  }

 private:
  Task<void> beat(NodeSpec to) {
    const Duration interval = heard_->options.interval;
    NodeState last = NodeState::unknown;
    while (!stopped_.is_set()) {
      const Instant next = env_.now() + interval;
      Heartbeat beat = heard_->own_beat();
      (void)co_await net::call(client_, to.address, std::move(beat), interval);
      const NodeState state = heard_->state_of(to.id);
      if (state != std::exchange(last, state) && state != NodeState::unknown)
        log::info("cluster", state == NodeState::up ? "node is up" : "node is down",
                  {log::kv("node", to.id), log::kv("address", to.address)});
      if (co_await stopped_.wait_until(next)) break;
    }
  }

  runtime::Env& env_;
  net::Client& client_;
  std::shared_ptr<Heard> heard_;
  runtime::Event stopped_;
  runtime::Scope scope_;
};

}  // namespace

std::unique_ptr<Membership> Membership::start(runtime::Env& env, net::Client& client,
                                              net::MethodTable& methods, const ClusterSpec& spec, NodeId self,
                                              std::function<Heartbeat()> own, MembershipOptions options) {
  auto heard = std::make_shared<Heard>(env, spec, self, std::move(own), options);
  methods.on<Heartbeat>([heard](Heartbeat beat, net::Request request) {
    return take_heartbeat(heard, std::move(beat), request.peer);
  });
  methods.on<GetMap>([heard](GetMap, net::Request) { return give_map(heard); });
  return std::make_unique<MembershipImpl>(env, client, std::move(heard));
}

}  // namespace claudefs::cluster
