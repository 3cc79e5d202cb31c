#include "sim/world.h"

#include <algorithm>

#include "sim/detail/sim_network.h"
#include "sim/node.h"

namespace claudefs::sim {

using namespace runtime;

World::World(u64 seed, FaultOptions faults)
    : seed_(seed), faults_(faults), network_stream_(seed, "network"), trace_hash_(mix(seed)) {}

World::~World() {
  // Actions may hold connections, which look at their nodes when they go.
  while (!queue_.empty()) queue_.erase(queue_.begin());
}

Node& World::add_node(std::string name) {
  CFS_CHECK(!name.empty() && name.find(':') == std::string::npos && !nodes_.contains(name));
  auto& slot = nodes_[name];
  slot = std::make_unique<Node>(*this, name, nodes_.size());
  return *slot;
}
Node& World::node(const std::string& name) {
  Node* found = find_node(name);
  CFS_CHECK(found != nullptr);
  return *found;
}
Node* World::find_node(const std::string& name) {
  const auto found = nodes_.find(name);
  return found == nodes_.end() ? nullptr : found->second.get();
}

World::EventKey World::schedule(Instant at, Node* owner, EventKind kind, std::function<void()> action) {
  const u64 sequence = ++sequence_;
  const EventKey key{std::max(at, now_), mix(seed_ ^ mix(sequence)), sequence};
  queue_.emplace(key, Event{owner, kind, std::move(action)});
  return key;
}
void World::unschedule(const EventKey& key) { queue_.erase(key); }

void World::drop_events_of(const Node& owner) {
  std::erase_if(queue_, [&](const auto& item) { return item.second.owner == &owner; });
}

void World::after(Duration delay, std::function<void()> action) {
  schedule(now_ + delay, nullptr, EventKind::outside, std::move(action));
}

void World::step() {
  auto item = queue_.extract(queue_.begin());
  EventKey& key = item.key();
  Event& event = item.mapped();
  now_ = key.at;
  if (event.owner != nullptr && event.owner->paused_until() > now_) {
    // A timer that is disarmed during the pause is not found under its key: firing it then does nothing.
    key.at = event.owner->paused_until();
    queue_.insert(std::move(item));
    return;
  }
  ++events_;
  trace_hash_ = mix(trace_hash_ ^ static_cast<u64>(now_.ns));
  trace_hash_ = mix(trace_hash_ ^ ((event.owner == nullptr ? 0 : event.owner->index()) << 8) ^
                    static_cast<u64>(event.kind));
  event.action();
}

bool World::run_until(const std::function<bool()>& holds, Duration limit) {
  const Instant end = now_ + limit;
  for (;;) {
    if (holds()) return true;
    if (queue_.empty() || queue_.begin()->first.at > end) break;
    step();
  }
  now_ = end;
  return holds();
}
void World::run_for(Duration time) {
  run_until([] { return false; }, time);
}

bool World::is_blocked(const Node& from, const Node& to) const {
  return blocked_.contains({from.name(), to.name()});
}

void World::block(const std::string& from, const std::string& to) {
  constexpr Duration kPatience = 20s;  // what production's keep-alive gives a silent peer, about
  const Link link{from, to};
  if (from == to || blocked_.contains(link)) return;
  const u64 serial = ++sequence_;
  count_fault("blocked link");
  blocked_.emplace(link, serial);
  after(kPatience, [this, link, serial] { lose_if_still_blocked(link, serial); });
}
void World::lose_if_still_blocked(Link link, u64 since) {
  const auto found = blocked_.find(link);
  if (found != blocked_.end() && found->second == since) reset_connections(link.first, link.second);
}
void World::unblock(const std::string& from, const std::string& to) { blocked_.erase({from, to}); }

void World::partition(const std::vector<std::string>& one, const std::vector<std::string>& other) {
  for (const std::string& a : one) {
    for (const std::string& b : other) {
      block(a, b);
      block(b, a);
    }
  }
}
void World::isolate(const std::string& name) {
  for (const auto& [other, node] : nodes_) partition({name}, {other});
}
void World::heal() {
  blocked_.clear();
  clogged_.clear();
}
void World::clog(const std::string& from, const std::string& to, Duration time) {
  clogged_[{from, to}] = now_ + time;
  count_fault("clogged link");
}
void World::reset_connections(const std::string& one, const std::string& other) {
  node(one).simulated_network().reset_connections_to(node(other));
}

Instant World::arrival(const Node& from, const Node& to) {
  Duration delay = network_stream_.between_times(faults_.network_delay_min, faults_.network_delay_max);
  if (network_stream_.chance(faults_.slow_segment)) {
    delay *= 100;
    count_fault("slow segment");
  }
  Instant at = now_ + delay;
  const auto clogged = clogged_.find({from.name(), to.name()});
  if (clogged != clogged_.end()) at = std::max(at, clogged->second);
  return at;
}

}  // namespace claudefs::sim
