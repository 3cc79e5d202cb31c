// Once per turn: every group that something happened to is drained, then each peer gets one call a lane.
// One tick serves all groups.
#include <algorithm>

#include "base/mutant.h"
#include "raft/detail/host/host_impl.h"

namespace claudefs::raft {
namespace {
constexpr runtime::Duration kTickMin = std::chrono::milliseconds(1);
}

CFS_DEFINE_MUTANT(raft_host_stands_at_ticks, "raft: members stand at regular ticks, several at once");

void HostImpl::mark(Group& group) {
  if (group.dirty || failed_) return;
  group.dirty = true;
  dirty_.push_back(&group);
  work_.notify_one();
}

runtime::Task<void> HostImpl::run_turns() {
  while (!stopping_) {
    if (dirty_.empty()) {
      co_await work_.wait();
      // Lets what else has arrived join this turn.
      co_await env_.executor().yield();
    }
    std::vector<Group*> turn;
    turn.swap(dirty_);
    for (Group* group : turn) {
      group->dirty = false;
      drain(*group);
    }
    flush_peers();
  }
}

runtime::Task<void> HostImpl::run_ticks() {
  while (!stopping_ && !failed_) {
    tick();
    const runtime::Instant due = next_tick(env_.now());
    co_await env_.executor().sleep_until(due);
    pace_.turn_came(env_.now() - due);
  }
}

runtime::Instant HostImpl::next_tick(runtime::Instant now) const {
  // Aligned, so that heartbeats, due at multiples of their interval, leave at once.
  const i64 step = std::max<i64>(1, options_.heartbeat.count() / (all_silent() ? 1 : 2));
  runtime::Instant due{(now.ns / step + 1) * step};
  if (takes_part_ && !CFS_MUTANT(raft_host_stands_at_ticks))
    for (const auto& [id, group] : groups_) due = std::min(due, group->core.stands_at());
  return std::max(due, now + kTickMin);
}

void HostImpl::tick() {
  const runtime::Instant now = env_.now();
  if (!takes_part_) return;
  watch_peers(now);
  for (auto& [id, group] : groups_) {
    group->core.tick(now);
    if (group->core.has_output(now)) mark(*group);
  }
  if (now >= next_upkeep_) {
    next_upkeep_ = now + options_.election_timeout;
    compact_groups();
    leave_if_slow();
  }
  if (options_.balance_every.count() != 0 && now >= next_balance_) {
    next_balance_ = now + options_.balance_every;
    balance();
  }
}

bool HostImpl::all_silent() const {
  return std::ranges::all_of(groups_, [](const auto& g) { return g.second->core.is_quiescent(); });
}

// On behalf of the silent groups.
void HostImpl::watch_peers(runtime::Instant now) {
  for (const PeerWatch::Lost& lost : watch_.lost(now)) wake_groups(lost, now);
  if (now < next_beat_) return;
  const i64 interval = std::max<i64>(1, options_.heartbeat.count());
  next_beat_ = runtime::Instant{(now.ns / interval + 1) * interval};
  for (auto& [node, peer] : links_) peer->beat(pace_.microseconds(now));
  work_.notify_one();
}

void HostImpl::wake_groups(const PeerWatch::Lost& lost, runtime::Instant now) {
  for (auto& [id, group] : groups_)
    if (wake_for(group->core, lost, options_.self, now)) mark(*group);
}

void HostImpl::drain(Group& group) {
  if (failed_ || stopping_) return;
  Ready ready = group.core.take(env_.now());
  route(std::move(ready.messages));
  if (ready.leadership) leadership_changed(group, *ready.leadership);
  reads_ready(group, ready.reads);
  for (const Ready::Fetch& what : ready.fetches) scope_.spawn(fetch(&group, what));
  for (NodeId peer : ready.snapshots) scope_.spawn(stream_snapshot(&group, peer));
  doubt_if_it_does(group);
  follow_members(group);
  apply_if_needed(group);
  want_write(group);
}

void HostImpl::route(std::vector<Message> messages) {
  for (Message& message : messages) link(message.to).queue(std::move(message));
}

void HostImpl::flush_peers() {
  for (auto& [node, peer] : links_) peer->flush();
}

PeerLink& HostImpl::link(NodeId node) {
  const std::string address = address_of_(node);
  std::unique_ptr<PeerLink>& made = links_[node];
  if (!made) {
    PeerLink::Limits limits;
    limits.queue_bytes = options_.peer_queue_bytes;
    limits.timeout = 2 * options_.election_timeout;
    limits.boot = boot_;
    made = std::make_unique<PeerLink>(scope_, client_, address, limits);
  }
  made->set_address(address);
  return *made;
}

runtime::Task<Result<net::TypedReply<net::Empty>>> HostImpl::on_messages(RaftMessages batch,
                                                                         net::Request request) {
  const runtime::Instant now = env_.now();
  if (request.peer.value != 0 && batch.boot != 0)
    if (const auto lost = watch_.heard(request.peer, batch.boot, now)) wake_groups(*lost, now);
  if (request.peer.value != 0) paces_[request.peer] = batch.pace;
  for (Message& message : batch.messages) {
    if (request.peer.value != 0 && request.peer != message.from) continue;
    if (!takes_part_ || failed_ || stopping_) continue;
    const bool of_leader = message.kind == MessageKind::append || message.kind == MessageKind::heartbeat;
    Group* group = of_leader ? find_or_adopt(message.group) : find(message.group);
    if (group == nullptr) continue;
    // Small ones share a block with their neighbours in the connection: a cached entry would pin all of it.
    for (Entry& entry : message.entries)
      if (entry.data.size() < 16_KiB) entry.data = Buffer::copy_of(entry.data.span());
    group->core.leader_node_heard(watch_.heard_at(group->core.leader_hint()));
    group->core.step(std::move(message), now);
    mark(*group);
  }
  co_return net::TypedReply<net::Empty>{};
}

}  // namespace claudefs::raft
