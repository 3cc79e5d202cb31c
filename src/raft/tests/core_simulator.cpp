#include "core_simulator.h"

#include <fmt/format.h>

#include <cmath>

#include "wire/codec.h"

namespace claudefs::raft::testing {

namespace {
constexpr i64 kTickUs = 12'500;
constexpr u64 kTicksABeat = 4;
}  // namespace

Faults Faults::swarm(u64 seed) {
  std::mt19937_64 random(seed * 0x9e3779b97f4a7c15u);
  const auto unit = [&] { return std::uniform_real_distribution<>(0, 1)(random); };
  // Log-uniform, or none.
  const auto rate = [&](double least, double most) {
    return unit() < 0.5 ? 0.0 : least * std::pow(most / least, unit());
  };
  Faults faults;
  faults.members = 1 + static_cast<int>(random() % 5);
  if (faults.members < 3 && unit() < 0.7) faults.members += 3;
  faults.loss = rate(0.001, 0.3);
  faults.duplication = rate(0.001, 0.3);
  faults.crash_a_tick = rate(0.0005, 0.02);
  faults.partition_a_tick = rate(0.001, 0.1);
  faults.transfer_a_tick = rate(0.001, 0.05);
  faults.compact_a_tick = rate(0.002, 0.1);
  faults.proposals_a_tick = 0.9 * std::pow(0.01, unit());
  faults.straggle = rate(0.001, 0.05);
  faults.leader_crash_a_tick = rate(0.002, 0.05);
  faults.restart_ms_max = unit() < 0.4 ? 10 : 300;
  faults.append_bytes = unit() < 0.3 ? 1 : 200;
  faults.pause_a_tick = rate(0.0005, 0.01);
  faults.idle_a_tick = rate(0.002, 0.05);
  faults.crash_after_vote = rate(0.05, 0.8);
  faults.straggle_votes = rate(0.05, 0.5);
  faults.new_leader_trouble = rate(0.1, 0.9);
  faults.lost_disk_a_tick = faults.members > 1 && unit() < 0.25 ? 0.004 : 0;
  if (faults.members > 2 && unit() < 0.5) {
    faults.change_a_tick = 0.01 * std::pow(10, unit());
    faults.founders = 1 + static_cast<int>(random() % static_cast<u64>(faults.members));
  }
  if (unit() < 0.2) {
    // Elections in quick succession, each leader gone before it could do much (the paper's figure 8).
    faults.members = unit() < 0.5 ? 3 : 5;
    faults.founders = std::min(faults.founders, faults.members);
    faults.append_bytes = 1;
    faults.new_leader_trouble = 0.5 + 0.5 * unit();
    faults.crash_after_vote = rate(0.1, 0.8);
    faults.straggle_votes = rate(0.1, 0.5);
    faults.proposals_a_tick = 0.1 + 0.4 * unit();
    faults.loss = faults.partition_a_tick = faults.lost_disk_a_tick = faults.idle_a_tick =
        faults.pause_a_tick = 0;
    faults.transfer_a_tick = 0;
    faults.restart_ms_max = 10;
  }
  return faults;
}

CoreSimulator::CoreSimulator(u64 seed, Faults faults) : faults_(faults), random_(seed) {
  for (int i = 1; i <= faults_.members; ++i) {
    auto made = std::make_unique<Node>();
    made->id = NodeId{static_cast<u16>(i)};
    made->rate = 0.97 + 0.06 * std::uniform_real_distribution<>(0, 1)(random_);
    made->offset = below(1'000'000'000);
    give_empty_disk(*made);
    nodes_.push_back(std::move(made));
  }
  for (auto& made : nodes_) boot(*made);
}

void CoreSimulator::after(i64 us, std::function<void()> act) {
  events_.push(Event{now_us_ + us, ++order_, std::move(act)});
}
void CoreSimulator::after_on(Node& node, i64 us, std::function<void()> act) {
  after(us, [this, &node, life = node.life, act = std::move(act)] {
    if (node.life != life || !node.core) return;
    if (node.paused_until > now_us_) return after_on(node, node.paused_until - now_us_, act);
    act();
  });
}
void CoreSimulator::fail(std::string what) {
  if (violation_.empty()) violation_ = std::move(what);
}
Instant CoreSimulator::clock(const Node& node) const {
  return Instant{node.offset + static_cast<i64>(static_cast<double>(now_us_) * 1000.0 * node.rate)};
}

void CoreSimulator::give_empty_disk(Node& node) {
  const u64 founders = static_cast<u64>(faults_.founders == 0 ? faults_.members : faults_.founders);
  std::vector<NodeId> all;
  for (u64 j = 1; j <= founders; ++j) all.push_back(NodeId{static_cast<u16>(j)});
  node.disk = Disk{};
  if (node.id.value <= founders) node.disk.start.configuration = Configuration::of(all);
}

// One at a time, and only while the others run: what two of three forget is lost. So is what one alone had.
void CoreSimulator::lose_disk(Node& node) {
  const std::vector<NodeId> alone{node.id};
  for (auto& other : nodes_) {
    if (other->amnesiac || !other->core) return;
    const Configuration& members = other->core->configuration();
    if (members.voters == alone || members.outgoing == alone) return;
  }
  crash(node, faults_.restart_ms_max);
  give_empty_disk(node);
  node.machine = node.durable = Machine{};
  node.amnesiac = true;
}

// As the host does: asks all others. False while one of them cannot answer.
bool CoreSimulator::rejoin(Node& node) {
  std::map<NodeId, Stand> told;
  for (auto& other : nodes_) {
    if (other.get() == &node) continue;
    if (!other->core) return false;
    told[other->id] = other->core->stand();
    other->core->peer_forgot(node.id, clock(*other));
  }
  node.core->rejoin(newest_of(told), clock(node));
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
  options.quiesce_after = std::chrono::milliseconds(faults_.quiesce_ms);
  Recovered recovered;
  recovered.hard_state = node.disk.hard;
  recovered.configuration = node.disk.start.configuration;
  recovered.log = EntryLog(node.disk.start.index, node.disk.start.term);
  for (auto& [index, entry] : node.disk.entries) {
    recovered.log.append_evicted(entry.index, entry.term);
    if (entry.kind == EntryKind::configuration)
      recovered.changes[entry.index] = *wire::decode<Configuration>(entry.data);
  }
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
  node.watch = PeerWatch(options.election_timeout);
  node.was_leader = false;
  node.seen_commit = node.core->commit();
}

void CoreSimulator::crash(Node& node, i64 restart_ms_max) {
  ++node.life;
  node.paused_until = 0;
  node.core.reset();
  node.persisting.reset();
  node.read_floor.clear();
  node.proposed.clear();
  after(below(restart_ms_max * 1000), [this, &node] {
    if (!node.core) boot(node);
  });
}

// Any voters among the members, any learners. Sometimes another change at once, which is refused.
void CoreSimulator::change_members(Node& leader) {
  do {
    const Configuration now = leader.core->configuration();
    std::vector<NodeId> voters, learners;
    const bool learners_only = chance(0.4);
    for (auto& n : nodes_) {
      if (learners_only ? now.is_voter(n->id) : now.is_member(n->id) && chance(0.6)) {
        voters.push_back(n->id);
      } else if (chance(0.7)) {
        learners.push_back(n->id);
      }
    }
    leader.core->change_members(voters, learners, clock(leader));
  } while (chance(0.4));
  drain(leader);
}

// By the newest configuration that anybody leads with.
bool CoreSimulator::is_member(const Node& node) const {
  const Core* newest = nullptr;
  for (auto& n : nodes_)
    if (n->core && n->core->is_leader() && (newest == nullptr || n->core->term() > newest->term()))
      newest = n->core.get();
  return newest == nullptr || newest->configuration().is_member(node.id);
}

// Nothing reaches it; then, first of all, clients ask.
void CoreSimulator::pause(Node& node) {
  node.paused_until = now_us_ + below(faults_.pause_ms_max * 1000);
  after(node.paused_until - now_us_, [this, &node, life = node.life] {
    if (node.life != life || !node.core) return;
    node.paused_until = 0;
    check_leases();
    if (!node.core->is_leader()) return;
    const u64 id = next_read_++;
    node.read_floor[id] = acknowledged_;
    node.core->read(id, clock(node));
    drain(node);
  });
}

void CoreSimulator::beat() {
  for (auto& from : nodes_)
    for (auto& to : nodes_) {
      if (from == to || !from->core || from->paused_until > now_us_) continue;
      if (cut_.contains({from->id.value, to->id.value}) || (!calm_ && chance(faults_.loss))) continue;
      after(100 + below(1'000), [this, &to = *to, id = from->id, boot = from->life] {
        if (to.core) after_on(to, 0, [this, &to, id, boot] { heard(to, id, boot); });
      });
    }
}

void CoreSimulator::heard(Node& to, NodeId from, u64 boot) {
  const auto lost = to.watch.heard(from, boot, clock(to));
  if (lost && wake_for(*to.core, *lost, to.id, clock(to))) drain(to);
}

void CoreSimulator::tick() {
  if (++ticks_ % kTicksABeat == 0) beat();
  for (auto& n : nodes_) {
    if (!n->core || n->paused_until > now_us_) continue;
    for (const PeerWatch::Lost& lost : n->watch.lost(clock(*n))) wake_for(*n->core, lost, n->id, clock(*n));
    n->core->tick(clock(*n));
    drain(*n);
  }
  if (!calm_) trouble();
  if (!idle_) client();
  check_leases();
}

void CoreSimulator::trouble() {
  if (chance(faults_.idle_a_tick)) idle_ = !idle_;
  for (auto& n : nodes_) {
    if (n->paused_until > now_us_) continue;
    const bool leads = n->core && n->core->is_leader();
    if (n->core && chance(faults_.pause_a_tick)) pause(*n);
    if (n->core && chance(faults_.crash_a_tick + (leads ? faults_.leader_crash_a_tick : 0)))
      crash(*n, faults_.restart_ms_max);
    if (n->core && n->amnesiac && n->core->remembers()) n->amnesiac = false;
    if (n->core && faults_.lost_disk_a_tick > 0 && chance(faults_.lost_disk_a_tick)) lose_disk(*n);
    if (n->core && chance(faults_.compact_a_tick)) {
      n->durable = n->machine;
      // Sometimes the machine is durable further than the log is cut.
      const u64 cut = n->machine.applied.value - static_cast<u64>(below(4));
      if (cut <= n->machine.applied.value && !n->core->needs_snapshot()) n->core->compact(LogIndex{cut});
      drain(*n);
    }
    if (n->core && n->core->is_leader() && chance(faults_.change_a_tick)) change_members(*n);
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
    if (!n->core || !n->core->is_leader() || n->paused_until > now_us_) continue;
    while (chance(faults_.proposals_a_tick)) {
      const std::string value = "v" + std::to_string(next_value_++);
      if (auto index = n->core->propose(Buffer::copy_of(value), clock(*n)))
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
    const bool of_election = message.kind == MessageKind::vote || message.kind == MessageKind::vote_reply;
    const double late = std::max(faults_.straggle, of_election ? faults_.straggle_votes : 0);
    if (!calm_ && chance(late)) delay += below(400'000);  // a straggler from another age
    after(delay, [this, message, boot = node(message.from).life] {
      Node& to = node(message.to);
      if (!to.core) return;
      after_on(to, 0, [this, &to, message, boot] {
        heard(to, message.from, boot);
        to.core->leader_node_heard(to.watch.heard_at(to.core->leader_hint()));
        to.core->step(message, clock(to));
        drain(to);
      });
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
  const bool voted = batch.hard_state && batch.hard_state->vote.value != 0;
  for (Message& message : batch.messages) deliver(std::move(message));
  if (voted && !calm_ && chance(faults_.crash_after_vote)) return crash(node, 10);
  drain(node);
}

// Cut off before it says a word, so that what it appends is nowhere else; or dead soon after its first ones.
void CoreSimulator::trouble_new_leader(Node& node) {
  if (chance(0.5)) return after_on(node, below(8'000), [this, &node] { crash(node, 10); });
  for (auto& other : nodes_) {
    if (other.get() == &node || chance(0.1)) continue;
    cut_.insert({node.id.value, other->id.value});
    cut_.insert({other->id.value, node.id.value});
  }
  after(below(400'000), [this] { cut_.clear(); });
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
  LogStart start{from.machine.applied, from.machine.term, from.core->configuration_at(from.machine.applied)};
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
  const bool has_it = start.index <= target.machine.applied && !target.core->needs_snapshot();
  if (has_it) return answer(start.index);
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
  if (node.core->doubts()) fail("a replica doubts what it has without a reason");
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
      if (it->second.in_term <= node.core->term() && log.term_at(LogIndex{it->first}) != it->second.term)
        fail("a leader lacks a committed entry");
    if (!calm_ && chance(faults_.new_leader_trouble)) trouble_new_leader(node);
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
    auto [it, first] = committed_.try_emplace(i, Commitment{*term, node.core->term()});
    if (!first && it->second.term != *term) fail("two entries committed at one index");
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
  idle_ = false;
  faults_.proposals_a_tick = 0.5;
  cut_.clear();
  run_until(end + 2'500'000);
  if (violation_.empty()) violation_ = settle();
  if (violation_.empty()) violation_ = settle_idle([&](i64 us) { run_until(now_us_ + us); });
  return violation_;
}

// Nothing to do: the group falls silent. Its leader dies: another one leads soon, and all works again.
std::string CoreSimulator::settle_idle(const std::function<void(i64)>& run_for) {
  idle_ = true;
  // What was asked for in better times may take a while: one entry an append, each with its flush.
  for (std::size_t done = 0, i = 0; i < 20 && committed_.size() > done; ++i) {
    done = committed_.size();
    run_for(500'000);
  }
  run_for(1'500'000);
  Node* leader = nullptr;
  for (auto& n : nodes_) {
    if (!violation_.empty()) return violation_;
    if (!is_member(*n)) continue;
    if (!n->core->is_quiescent())
      return fmt::format("replica {} does not fall silent: leads {}, commit {}, applied {}, last {}", n->id,
                         n->core->is_leader(), n->core->commit(), n->core->applied_index(),
                         n->core->log().last());
    if (n->core->is_leader()) leader = n.get();
  }
  if (leader == nullptr) return "a silent group has no leader";
  const u64 before = acknowledged_;
  if (leader->core->configuration().voters.size() > 2) {
    crash(*leader, 1);
    leader->paused_until = now_us_ + 2'500'000;  // boots, but says nothing
    run_for(2'000'000);
    if (!violation_.empty()) return violation_;
    bool led = false;
    for (auto& n : nodes_) led |= n.get() != leader && n->core && n->core->is_leader();
    if (!led) return "the silent group of a dead leader elects none";
  }
  idle_ = false;
  run_for(1'500'000);
  if (!violation_.empty()) return violation_;
  return acknowledged_ > before ? "" : "a group that was silent does not work again";
}

// After the faults ended: one leader, and everybody has what was acknowledged.
std::string CoreSimulator::settle() {
  int leaders = 0;
  for (auto& n : nodes_) {
    if (!n->core) return "a node did not come back";
    leaders += n->core->is_leader();
    if (!is_member(*n)) continue;
    if (n->core->needs_snapshot()) return "a replica still waits for a snapshot";
    if (n->machine.applied.value < acknowledged_ / 2)
      return fmt::format("replica {} stays far behind: applied {}, commit {}, last {} of {}", n->id,
                         n->machine.applied, n->core->commit(), n->core->log().last(), acknowledged_);
  }
  if (leaders != 1) return "no single leader after the faults ended";
  return acknowledged_ == 0 ? "nothing was ever acknowledged" : "";
}

}  // namespace claudefs::raft::testing
