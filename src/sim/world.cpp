#include "sim/world.h"

#include <algorithm>
#include <functional>

#include "sim/detail/sim_network.h"
#include "sim/node.h"

namespace claudefs::sim {

using namespace runtime;

World::World(u64 seed, FaultOptions faults)
    : seed_(seed), faults_(faults), network_stream_(seed, "network"), trace_hash_(mix(seed)) {}

World::~World() {
  // Actions may hold connections, which look at their nodes when they go.
  for (u32 slot = 0; slot < events_to_come_.size(); ++slot)
    if (events_to_come_[slot].sequence != 0) (void)take_back(slot);
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

World::Scheduled World::schedule(Instant at, Node* owner, EventKind kind, std::function<void()> action) {
  const u64 sequence = ++sequence_;
  u32 slot = static_cast<u32>(events_to_come_.size());
  if (free_slots_.empty()) {
    events_to_come_.emplace_back();
  } else {
    slot = free_slots_.back();
    free_slots_.pop_back();
  }
  events_to_come_[slot] = Event{sequence, owner, kind, std::move(action)};
  push({{std::max(at, now_), mix(seed_ ^ mix(sequence)), sequence}, slot});
  return {sequence, slot};
}

void World::push(Due due) {
  if (soonest_ && *soonest_ > due) std::swap(*soonest_, due);
  if (!soonest_ && (heap_.empty() || heap_.front() > due)) {
    soonest_ = due;
    return;
  }
  heap_.push_back(due);
  std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
}

World::Due World::pop() {
  if (soonest_) {
    const Due due = *soonest_;
    soonest_.reset();
    return due;
  }
  std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
  const Due due = heap_.back();
  heap_.pop_back();
  return due;
}

const World::Due* World::next_due() {
  while (soonest_ || !heap_.empty()) {
    const Due& due = soonest_ ? *soonest_ : heap_.front();
    if (events_to_come_[due.slot].sequence == due.key.sequence) return &due;
    pop();
  }
  return nullptr;
}

World::Event World::take_back(u32 slot) {
  Event event = std::move(events_to_come_[slot]);
  events_to_come_[slot] = Event();
  free_slots_.push_back(slot);
  return event;
}

void World::unschedule(Scheduled event) {
  if (events_to_come_[event.slot].sequence == event.sequence) (void)take_back(event.slot);
}

void World::drop_events_of(const Node& owner) {
  for (u32 slot = 0; slot < events_to_come_.size(); ++slot)
    if (events_to_come_[slot].owner == &owner) (void)take_back(slot);
}

void World::after(Duration delay, std::function<void()> action) {
  schedule(now_ + delay, nullptr, EventKind::outside, std::move(action));
}

void World::step() {
  Due due = pop();
  now_ = due.key.at;
  if (const Node* owner = events_to_come_[due.slot].owner; owner != nullptr && owner->paused_until() > now_) {
    due.key.at = owner->paused_until();
    return push(due);
  }
  const Event event = take_back(due.slot);
  ++events_;
  trace_hash_ = mix(trace_hash_ ^ static_cast<u64>(now_.ns));
  trace_hash_ = mix(trace_hash_ ^ ((event.owner == nullptr ? 0 : event.owner->index()) << 8) ^
                    static_cast<u64>(event.kind));
  running_ = true;
  event.action();
  running_ = false;
}

bool World::run_until(const std::function<bool()>& holds, Duration limit) {
  const Instant end = now_ + limit;
  for (;;) {
    if (holds()) return true;
    const Due* next = next_due();
    if (next == nullptr || next->key.at > end) break;
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
