#include "core_simulator.h"

#include <fmt/format.h>

namespace claudefs::raft::testing {

namespace {
constexpr i64 kTickUs = 12'500;
}

CoreSimulator::CoreSimulator(u64 seed, Faults faults) : faults_(faults), random_(seed) {
  for (int i = 1; i <= faults_.members; ++i) {
    auto made = std::make_unique<Node>();
    made->id = NodeId{static_cast<u16>(i)};
    made->rate = 0.97 + 0.06 * std::uniform_real_distribution<>(0, 1)(random_);
    made->offset = below(1'000'000'000);
    std::vector<NodeId> all;
    for (int j = 1; j <= faults_.members; ++j) all.push_back(NodeId{static_cast<u16>(j)});
    made->disk.start.configuration = Configuration::of(all);
    nodes_.push_back(std::move(made));
  }
  for (auto& made : nodes_) boot(*made);
}

void CoreSimulator::after(i64 us, std::function<void()> act) {
  events_.push(Event{now_us_ + us, ++order_, std::move(act)});
}
void CoreSimulator::after_on(Node& node, i64 us, std::function<void()> act) {
  after(us, [&node, life = node.life, act = std::move(act)] {
    if (node.life == life && node.core) act();
  });
}
void CoreSimulator::fail(std::string what) {
  if (violation_.empty()) violation_ = std::move(what);
}
Instant CoreSimulator::clock(const Node& node) const {
  return Instant{node.offset + static_cast<i64>(static_cast<double>(now_us_) * 1000.0 * node.rate)};
}

// One at a time, and only while the others run: what two of three forget is lost.
void CoreSimulator::lose_disk(Node& node) {
  for (auto& other : nodes_)
    if (other->amnesiac || (!other->core && other.get() != &node)) return;
  crash(node);
  node.disk = Disk{};
  node.disk.start.configuration = nodes_.front().get() == &node ? nodes_.back()->disk.start.configuration
                                                                : nodes_.front()->disk.start.configuration;
  node.machine = node.durable = Machine{};
  node.amnesiac = true;
}

// As the host does: asks all others. False while one of them cannot answer.
bool CoreSimulator::rejoin(Node& node) {
  Term term{};
  LogEnd floor{};
  for (auto& other : nodes_) {
    if (other.get() == &node) continue;
    if (!other->core) return false;
    term = std::max(term, other->core->term());
    floor = std::max(floor, other->core->log_end());
    other->core->peer_forgot(node.id);
  }
  node.core->rejoin(term, floor, clock(node));
  return true;
}

void CoreSimulator::boot(Node& node) {
  CoreOptions options;
  options.group = ShardId{7};
  options.self = node.id;
  options.heartbeat = std::chrono::milliseconds(50);
  options.election_timeout = std::chrono::milliseconds(200);
  options.lease_drift_max = std::chrono::milliseconds(30);
  options.seed = random_();
  options.preferred = node.id.value == 1;
  options.append_bytes_max = faults_.append_bytes;
  options.inflight_messages = 4;
  options.cache_bytes = 300;
  options.sabotage = faults_.sabotage;
  Recovered recovered;
  recovered.hard_state = node.disk.hard;
  recovered.configuration = node.disk.start.configuration;
  recovered.log = EntryLog(node.disk.start.index, node.disk.start.term);
  for (auto& [index, entry] : node.disk.entries) recovered.log.append_evicted(entry.index, entry.term);
  node.machine = node.durable;
  recovered.applied = node.machine.applied;
  recovered.applied_term = node.machine.term;
  node.core = std::make_unique<Core>(options, std::move(recovered), clock(node));
  if (node.amnesiac && !rejoin(node)) {
    node.core.reset();
    after(20'000, [this, &node] {
      if (!node.core) boot(node);
    });
    return;
  }
  node.was_leader = false;
  node.seen_commit = node.core->commit();
}

void CoreSimulator::crash(Node& node) {
  ++node.life;
  node.core.reset();
  node.persisting.reset();
  node.read_floor.clear();
  node.proposed.clear();
  after(below(faults_.restart_ms_max * 1000), [this, &node] {
    if (!node.core) boot(node);
  });
}

void CoreSimulator::tick() {
  for (auto& n : nodes_) {
    if (!n->core) continue;
    n->core->tick(clock(*n));
    drain(*n);
  }
  if (!calm_) trouble();
  client();
  check_leases();
}

void CoreSimulator::trouble() {
  for (auto& n : nodes_) {
    const bool leads = n->core && n->core->is_leader();
    if (n->core && chance(faults_.crash_a_tick + (leads ? faults_.leader_crash_a_tick : 0))) crash(*n);
    if (n->core && n->amnesiac && n->core->remembers()) n->amnesiac = false;
    if (n->core && faults_.lost_disk_a_tick > 0 && chance(faults_.lost_disk_a_tick)) lose_disk(*n);
    if (n->core && chance(faults_.compact_a_tick)) {
      n->durable = n->machine;
      // Sometimes the machine is durable further than the log is cut.
      const u64 cut = n->machine.applied.value - static_cast<u64>(below(4));
      if (cut <= n->machine.applied.value && !n->core->needs_snapshot()) n->core->compact(LogIndex{cut});
      drain(*n);
    }
    if (n->core && n->core->is_leader() && chance(faults_.transfer_a_tick)) {
      n->core->transfer(nodes_[static_cast<std::size_t>(below(faults_.members))]->id, clock(*n));
      drain(*n);
    }
  }
  if (!chance(faults_.partition_a_tick)) return;
  cut_.clear();
  if (chance(0.4)) return;
  const u64 side = random_();
  const bool one_way = chance(0.2);
  for (auto& a : nodes_)
    for (auto& b : nodes_) {
      const bool left = (side >> a->id.value) & 1, right = (side >> b->id.value) & 1;
      if (left && !right) cut_.insert({a->id.value, b->id.value});
      if (!left && right && !one_way) cut_.insert({a->id.value, b->id.value});
    }
}

void CoreSimulator::client() {
  for (auto& n : nodes_) {
    if (!n->core || !n->core->is_leader()) continue;
    while (chance(faults_.proposals_a_tick)) {
      const std::string value = "v" + std::to_string(next_value_++);
      if (auto index = n->core->propose(Buffer::copy_of(value)))
        n->proposed[index->value] = n->core->term().value;
    }
    if (chance(0.3)) {
      const u64 id = next_read_++;
      n->read_floor[id] = acknowledged_;
      n->core->read(id, clock(*n));
    }
    drain(*n);
  }
}

void CoreSimulator::deliver(Message message) {
  const auto link = std::pair(message.from.value, message.to.value);
  if (cut_.contains(link) || (!calm_ && chance(faults_.loss))) return;
  const int copies = !calm_ && chance(faults_.duplication) ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    i64 delay = 100 + below(chance(0.8) ? 1'000 : faults_.delay_us_max);
    if (!calm_ && chance(faults_.straggle)) delay += below(400'000);  // a straggler from another age
    after(delay, [this, message] {
      Node& to = node(message.to);
      if (!to.core) return;
      to.core->step(message, clock(to));
      drain(to);
    });
  }
}

void CoreSimulator::drain(Node& node) {
  check(node);
  Ready ready = node.core->take(clock(node));
  for (Message& message : ready.messages) deliver(std::move(message));
  for (const Ready::Read& read : ready.reads) {
    if (read.ok && read.index.value < node.read_floor[read.id])
      fail("a read would miss an acknowledged write");
    node.read_floor.erase(read.id);
  }
  for (const Ready::Fetch& fetch : ready.fetches) answer_fetch(node, fetch);
  for (NodeId peer : ready.snapshots) stream_snapshot(node, peer);
  apply(node);
  start_persist(node);
}

void CoreSimulator::start_persist(Node& node) {
  if (!node.core->wants_persist()) return;
  node.persisting = node.core->take_persist();
  check_entries(node, node.persisting->entries);
  if (faults_.acknowledge_before_flush) {
    for (Message& message : node.persisting->messages) deliver(std::move(message));
    node.persisting->messages.clear();
  }
  const bool nothing = node.persisting->nothing_to_write();
  if (nothing) return finish_persist(node);
  after_on(node, 50 + below(faults_.flush_us_max), [this, &node] { finish_persist(node); });
}

void CoreSimulator::finish_persist(Node& node) {
  Persist batch = std::move(*node.persisting);
  node.persisting.reset();
  Disk& disk = node.disk;
  if (batch.hard_state) {
    disk.hard = *batch.hard_state;
    if (faults_.forget_votes) disk.hard.vote = NodeId{};
  }
  if (batch.start) {
    auto held = disk.entries.find(batch.start->index.value);
    const bool same_start = disk.start.index == batch.start->index && disk.start.term == batch.start->term;
    const bool matches = held != disk.entries.end() && held->second.term == batch.start->term;
    if (!same_start && !matches) disk.entries.clear();
    disk.entries.erase(disk.entries.begin(), disk.entries.upper_bound(batch.start->index.value));
    disk.start = *batch.start;
  }
  if (!batch.entries.empty())
    disk.entries.erase(disk.entries.lower_bound(batch.entries.front().index.value), disk.entries.end());
  for (Entry& entry : batch.entries) disk.entries[entry.index.value] = std::move(entry);
  node.core->persisted();
  for (Message& message : batch.messages) deliver(std::move(message));
  drain(node);
}

void CoreSimulator::apply(Node& node) {
  while (node.machine.applied < node.core->apply_limit()) {
    const LogIndex index{node.machine.applied.value + 1};
    std::vector<Entry> cached = node.core->log().slice(index, index, 1);
    const Entry entry = cached.empty() ? node.disk.entries[index.value] : cached.front();
    if (entry.index != index) return fail("an entry to apply is nowhere");
    const std::string value(entry.data.text());
    if (applied_.size() < index.value) applied_.push_back(value);
    if (applied_[index.value - 1] != value) fail("two replicas applied different entries at one index");
    node.machine.values.push_back(value);
    node.machine.applied = index;
    node.machine.term = entry.term;
    node.core->applied(index);
    auto mine = node.proposed.find(index.value);
    if (mine == node.proposed.end()) continue;
    if (node.core->is_leader() && mine->second == entry.term.value)
      acknowledged_ = std::max(acknowledged_, index.value);
    node.proposed.erase(mine);
  }
}

void CoreSimulator::stream_snapshot(Node& from, NodeId to) {
  LogStart start{from.machine.applied, from.machine.term, from.core->configuration()};
  Machine picture = from.machine;
  const Term term = from.core->term();
  after_on(from, 1000 + below(10'000),
           [this, &from, to, picture, start, term] { begin_install(from, to, picture, start, term); });
}

void CoreSimulator::begin_install(Node& from, NodeId to, Machine picture, LogStart start, Term term) {
  Node& target = node(to);
  auto answer = [this, &from, to](std::optional<LogIndex> index) {
    after_on(from, 1000, [this, &from, to, index] {
      from.core->snapshot_sent(to, index);
      drain(from);
    });
  };
  const bool through = target.core && !cut_.contains({from.id.value, to.value});
  if (!through || !target.core->snapshot_heard(from.id, term, clock(target))) return answer(std::nullopt);
  if (start.index <= target.machine.applied) return answer(start.index);
  target.core->snapshot_begins();
  target.machine = target.durable = Machine{};
  after_on(target, below(20'000), [this, &target, picture, start] {
    if (!target.core->needs_snapshot() || start.index < target.core->log().start()) return;
    target.machine = target.durable = picture;
    target.core->snapshot_installed(start, clock(target));
    drain(target);
  });
  after(25'000, [answer, start] { answer(start.index); });
  drain(target);
}

void CoreSimulator::answer_fetch(Node& node, Ready::Fetch fetch) {
  after_on(node, below(3'000), [this, &node, fetch] {
    std::vector<Entry> entries;
    for (auto it = node.disk.entries.find(fetch.from.value);
         it != node.disk.entries.end() && entries.size() < 8; ++it)
      entries.push_back(it->second);
    node.core->fetched(fetch.peer, std::move(entries), clock(node));
    drain(node);
  });
}

void CoreSimulator::check(Node& node) {
  check_commit(node);
  check_leader(node);
}

// Election safety, and leader completeness at the moment of election.
void CoreSimulator::check_leader(Node& node) {
  const bool leads = node.core->is_leader();
  if (leads) {
    auto [it, first] = leader_of_term_.try_emplace(node.core->term().value, node.id);
    if (!first && it->second != node.id) fail("two leaders in one term");
  }
  if (leads && !node.was_leader) {
    const EntryLog& log = node.core->log();
    for (auto it = committed_.upper_bound(log.start().value); it != committed_.end(); ++it)
      if (log.term_at(LogIndex{it->first}) != Term{it->second}) fail("a leader lacks a committed entry");
  }
  node.was_leader = leads;
}

// Log matching, by induction: one (index, term) has one content and one predecessor everywhere.
void CoreSimulator::check_entries(const Node& node, const std::vector<Entry>& entries) {
  for (const Entry& entry : entries) {
    const auto before = node.core->log().term_at(LogIndex{entry.index.value - 1});
    if (!before) return fail("a gap in a log");
    std::string content = std::to_string(before->value) + ":" + std::string(entry.data.text());
    auto [it, first] = written_.try_emplace({entry.index.value, entry.term.value}, content);
    if (!first && it->second != content) fail("two logs differ at one index and term");
  }
}

void CoreSimulator::check_commit(Node& node) {
  const LogIndex commit = node.core->commit();
  if (commit < node.seen_commit) fail("a commit index went back");
  for (u64 i = std::max(node.seen_commit.value, node.core->log().start().value) + 1; i <= commit.value; ++i) {
    const auto term = node.core->log().term_at(LogIndex{i});
    if (!term) return fail("a commit index beyond the log");
    auto [it, first] = committed_.try_emplace(i, term->value);
    if (!first && it->second != term->value) fail("two entries committed at one index");
  }
  node.seen_commit = commit;
}

// Whoever holds a lease may read at once: it must be alone, and know all that clients were told of.
void CoreSimulator::check_leases() {
  int holders = 0;
  for (auto& n : nodes_) {
    if (!n->core || !n->core->holds_lease(clock(*n))) continue;
    ++holders;
    if (n->core->commit().value < acknowledged_) fail("a lease holder lacks an acknowledged write");
  }
  if (holders > 1) fail("two leases at once");
}

std::string CoreSimulator::run() {
  const i64 end = now_us_ + faults_.virtual_ms * 1000;
  i64 next_tick = now_us_;
  auto run_until = [&](i64 until) {
    while (now_us_ < until && violation_.empty()) {
      if (!events_.empty() && events_.top().at_us <= next_tick) {
        Event event = events_.top();
        events_.pop();
        now_us_ = event.at_us;
        event.act();
      } else {
        now_us_ = next_tick;
        next_tick += kTickUs;
        tick();
      }
    }
  };
  run_until(end);
  if (!violation_.empty()) return violation_;
  calm_ = true;
  cut_.clear();
  run_until(end + 2'500'000);
  return violation_.empty() ? settle() : violation_;
}

// After the faults ended: one leader, and everybody has what was acknowledged.
std::string CoreSimulator::settle() {
  int leaders = 0;
  for (auto& n : nodes_) {
    if (!n->core) return "a node did not come back";
    leaders += n->core->is_leader();
    if (n->core->needs_snapshot()) return "a replica still waits for a snapshot";
    if (n->machine.applied.value < acknowledged_ / 2)
      return fmt::format("replica {} stays far behind: applied {}, commit {}, last {} of {}", n->id,
                         n->machine.applied, n->core->commit(), n->core->log().last(), acknowledged_);
  }
  if (leaders != 1) return "no single leader after the faults ended";
  return acknowledged_ == 0 ? "nothing was ever acknowledged" : "";
}

}  // namespace claudefs::raft::testing
