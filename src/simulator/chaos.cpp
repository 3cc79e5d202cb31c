#include "simulator/chaos.h"

#include <array>

#include <fmt/format.h>

namespace claudefs::simulator {

using namespace std::chrono_literals;

namespace {
constexpr u32 kFirstHandover = 1'000'000;  // their numbers among a round's faults
constexpr u32 kFirstMove = 3'000'000;

runtime::Task<void> change_members(raft::Host* host, ShardId shard, std::vector<NodeId> members) {
  (void)co_await host->change_members(shard, std::move(members), {}, 20s).result();
}
}  // namespace

std::string_view name_of(FaultKind kind) {
  static constexpr std::array<std::string_view, kFaultKinds> kNames{"crash one server",
                                                                    "crash all servers",
                                                                    "crash loop",
                                                                    "pause",
                                                                    "isolate server",
                                                                    "cut one way",
                                                                    "split",
                                                                    "clog",
                                                                    "reset",
                                                                    "crash client",
                                                                    "isolate client",
                                                                    "pause client",
                                                                    "wipe victim disk",
                                                                    "failing flush",
                                                                    "flipped bits",
                                                                    "blackout",
                                                                    "cut from servers",
                                                                    "lost replies",
                                                                    "slow server",
                                                                    "clock set",
                                                                    "crash, then wipe victim disk",
                                                                    "cut client from all but one"};
  return kNames[static_cast<std::size_t>(kind)];
}

void Chaos::after(runtime::Duration delay, std::function<void()> action) {
  cluster_.world().after(delay, [this, serial = round_serial_, action = std::move(action)] {
    if (serial == round_serial_) action();
  });
}

void Chaos::begin_round(u32 round) {
  ++round_serial_;
  round_ends_ = cluster_.world().now() + plan_.round_time;
  cluster_.world().faults() = plan_.faults;
  if (plan_.victim) cluster_.servers()[*plan_.victim]->machine->set_disk_faults(plan_.damage);
  for (u32 index = 0; index < plan_.faults_most; ++index) {
    sim::RandomStream random(plan_.seed, "scheduled fault", (u64{round} << 32) | index);
    const auto kind = static_cast<FaultKind>(random.between(0, kFaultKinds - 1));
    const runtime::Duration at = random.between_times(0s, plan_.round_time);
    if ((plan_.fault_kinds & (1u << static_cast<u32>(kind))) == 0) continue;
    if (plan_.skip_faults.contains({round, index})) continue;
    after(at, [this, kind, random, round, index] {
      report_.faults_begun.emplace_back(round, index);
      strike(kind, random);
    });
  }
  strike_often(round, "hand-over", kFirstHandover, plan_.handovers, &Chaos::hand_over);
  strike_often(round, "move", kFirstMove, plan_.moves, &Chaos::move_shard);
}

void Chaos::strike_often(u32 round, std::string_view stream, u32 first, u32 count,
                         void (Chaos::*what)(sim::RandomStream)) {
  for (u32 index = 0; index < count; ++index) {
    sim::RandomStream random(plan_.seed, stream, (u64{round} << 32) | index);
    const std::pair<u32, u32> id{round, first + index};
    const runtime::Duration at = random.between_times(0s, plan_.round_time);
    if (plan_.skip_faults.contains(id)) continue;
    after(at, [this, random, id, what] {
      report_.faults_begun.push_back(id);
      (this->*what)(random);
    });
  }
}

// To any three; what is begun and does not come to an end, because its leader dies, stays as it is.
void Chaos::move_shard(sim::RandomStream random) {
  const ShardId shard{static_cast<u16>(random.between(0, plan_.cluster.shards - 1))};
  std::vector<NodeId> members;
  for (const cluster::NodeSpec& node : cluster_.spec().nodes) members.push_back(node.id);
  while (members.size() > 3)
    members.erase(members.begin() + static_cast<std::ptrdiff_t>(random.between(0, members.size() - 1)));
  for (const auto& server : cluster_.servers()) {
    if (!server->serves() || !server->node->service().leads(shard)) continue;
    cluster_.world().count_fault("shard moves");
    workload_.note(
        fmt::format("MOVE    shard {} to servers {}, {}, {}", shard, members[0], members[1], members[2]));
    return server->scope->spawn(change_members(&server->node->raft(), shard, std::move(members)));
  }
}

void Chaos::hand_over(sim::RandomStream random) {
  const u64 one = random.between(0, plan_.cluster.clients - 1);
  const u64 other = (one + random.between(1, plan_.cluster.clients - 1)) % plan_.cluster.clients;
  Client& first = *cluster_.clients()[one];
  Client& second = *cluster_.clients()[other];
  if (!first.ready || !second.ready) return;
  cluster_.world().count_fault("hand-over");
  workload_.note(fmt::format("FAULT   hand-over between clients {} and {}", one, other));
  workload_.hand_over(first, second, random,
                      [this, random, serial = round_serial_](InodeId inode, Client& writer) {
                        if (serial == round_serial_) strike_handover(inode, writer, random);
                      });
}

void Chaos::strike_handover(InodeId inode, Client& writer, sim::RandomStream random) {
  const u64 what = random.between(0, 11);
  if (what < 3) {
    // Until its session has long expired.
    const runtime::Duration time = random.between_times(5s, 30s);
    workload_.note(fmt::format("FAULT   {} client {} for {} ms", what < 2 ? "pause" : "isolate",
                               writer.number, time / 1ms));
    if (what < 2) return pause(*writer.machine, time);
    return cut_for({writer.machine->name()}, all_but(writer.machine->name()), true, time);
  }
  for (const auto& server : cluster_.servers()) {
    if (!server->serves() || !server->node->service().leads(inode.shard())) continue;
    const runtime::Duration time = 100ms * (i64{1} << random.between(0, 7));
    workload_.note(fmt::format("FAULT   {} server {}, which leads shard {}, for {} ms",
                               what < 8    ? "crash"
                               : what < 10 ? "pause"
                                           : "isolate",
                               server->number + 1, inode.shard(), time / 1ms));
    if (what < 8) return bring_down(*server, time);
    if (what < 10) return pause(*server->machine, time);
    return cut_for({server->machine->name()}, all_but(server->machine->name()), true, time);
  }
}

Server& Chaos::some_server(sim::RandomStream& random) {
  return *cluster_.servers()[random.between(0, cluster_.servers().size() - 1)];
}
Client* Chaos::some_client(sim::RandomStream& random) {
  Client& client = *cluster_.clients()[random.between(0, plan_.cluster.clients - 1)];
  return client.ready ? &client : nullptr;
}
std::vector<std::string> Chaos::all_but(const std::string& name) const {
  std::vector<std::string> out;
  for (const auto& server : cluster_.servers())
    if (server->machine->name() != name) out.push_back(server->machine->name());
  for (const auto& client : cluster_.clients())
    if (client->machine->name() != name) out.push_back(client->machine->name());
  return out;
}

std::vector<std::string> Chaos::servers_but(const Server& one) const {
  std::vector<std::string> out;
  for (const auto& server : cluster_.servers())
    if (server.get() != &one) out.push_back(server->machine->name());
  return out;
}

void Chaos::bring_down(Server& server, runtime::Duration time) {
  if (!server.machine->is_up()) return;
  cluster_.crash_server(server);
  bring_up_later(server, time);
}
void Chaos::bring_up_later(Server& server, runtime::Duration time) {
  after(time, [this, &server] {
    if (!server.machine->is_up()) cluster_.start_server(server);
  });
}

void Chaos::cut_for(std::vector<std::string> one, std::vector<std::string> other, bool both_ways,
                    runtime::Duration time) {
  for (const std::string& a : one)
    for (const std::string& b : other) {
      cluster_.world().block(a, b);
      if (both_ways) cluster_.world().block(b, a);
    }
  after(time, [this, one, other] {
    for (const std::string& a : one)
      for (const std::string& b : other) {
        cluster_.world().unblock(a, b);
        cluster_.world().unblock(b, a);
      }
  });
}

void Chaos::wipe_victim(runtime::Duration down) {
  if (!plan_.victim || wiped_) return;
  Server& victim = *cluster_.servers()[*plan_.victim];
  if (victim.machine->is_up()) cluster_.crash_server(victim);
  // With two devices: both, the large one, the fast one.
  std::string device;
  sim::RandomStream random(plan_.seed, "lost device");
  const u64 which = plan_.cluster.fast_devices ? random.between(0, 2) : 0;
  if (which != 0) {
    device = which == 1 ? kDataDirectory : kFastDirectory;
    workload_.note(fmt::format("FAULT   of server {} the {} device is lost", victim.number + 1, device));
    cluster_.world().count_fault(which == 1 ? "data device lost" : "fast device lost");
  }
  cluster_.wipe_server(victim, device);
  wiped_ = true;
  bring_up_later(victim, down);
}

void Chaos::lose_replies(Server& server, runtime::Duration time) {
  for (const auto& client : cluster_.clients())
    cluster_.world().block(server.machine->name(), client->machine->name());
  after(time, [this, &server] {
    for (const auto& client : cluster_.clients()) {
      cluster_.world().reset_connections(server.machine->name(), client->machine->name());
      cluster_.world().unblock(server.machine->name(), client->machine->name());
    }
  });
}

// Healing wakes nobody up.
void Chaos::pause(sim::Node& machine, runtime::Duration time) {
  if (machine.is_up()) machine.pause(std::min(time, round_ends_ - cluster_.world().now()));
}

void Chaos::strike(FaultKind kind, sim::RandomStream random) {
  sim::World& world = cluster_.world();
  Server& server = some_server(random);
  // Short and long ones alike; some longer than clients are patient.
  const runtime::Duration time =
      100ms * (i64{1} << random.between(0, plan_.dense ? 7 : 10)) + random.between_times(0s, 1s);
  workload_.note(fmt::format("FAULT   {} server {} for {} ms", name_of(kind), server.number + 1,
                             time.count() / 1'000'000));
  world.count_fault(name_of(kind).data());
  switch (kind) {
    case FaultKind::crash_one:
      return bring_down(server, time);
    case FaultKind::crash_all:
      for (const auto& each : cluster_.servers()) bring_down(*each, random.between_times(10ms, time));
      return;
    case FaultKind::crash_loop:
      for (int i = 0; i < 5; ++i)
        after(random.between_times(0ms, 300ms) + 400ms * i, [this, &server] { bring_down(server, 20ms); });
      return;
    case FaultKind::pause:
      return pause(*server.machine, time);
    case FaultKind::isolate:
      return cut_for({server.machine->name()}, all_but(server.machine->name()), true, time);
    case FaultKind::cut_one_way: {
      const std::string other = some_server(random).machine->name();
      return cut_for({server.machine->name()}, {other}, false, time);
    }
    case FaultKind::split: {
      std::vector<std::string> sides[2];
      for (const std::string& name : all_but("")) sides[random.between(0, 1)].push_back(name);
      return cut_for(sides[0], sides[1], true, time);
    }
    case FaultKind::clog:
      return world.clog(server.machine->name(), some_server(random).machine->name(), time);
    case FaultKind::reset:
      return world.reset_connections(server.machine->name(), some_server(random).machine->name());
    case FaultKind::crash_client: {
      Client* client = some_client(random);
      if (client == nullptr) return;
      cluster_.crash_client(*client);
      workload_.client_died(*client);
      after(time, [this, client] {
        if (!client->machine->is_up()) start_client(*client);
      });
      return;
    }
    case FaultKind::isolate_client: {
      Client* client = some_client(random);
      if (client != nullptr) cut_for({client->machine->name()}, all_but(client->machine->name()), true, time);
      return;
    }
    case FaultKind::pause_client: {
      Client* client = some_client(random);
      if (client != nullptr) pause(*client->machine, time);
      return;
    }
    case FaultKind::wipe:
      return wipe_victim(time);
    case FaultKind::wipe_after_crash: {
      if (!plan_.victim || wiped_) return;
      const u64 other =
          (*plan_.victim + random.between(1, cluster_.servers().size() - 1)) % cluster_.servers().size();
      bring_down(*cluster_.servers()[other], random.between_times(10ms, 3s));
      return after(random.between_times(0ms, 3s), [this, time] { wipe_victim(time); });
    }
    case FaultKind::blackout:
      for (const auto& each : cluster_.servers()) bring_down(*each, 70s + time);
      return;
    case FaultKind::cut_from_servers:
      return cut_for({server.machine->name()}, servers_but(server), true, time);
    case FaultKind::cut_client: {
      Client* client = some_client(random);
      if (client == nullptr) return;
      // For longer than reads are patient, mostly.
      cut_for({client->machine->name()}, servers_but(server), true, random.between_times(20s, 90s));
      return workload_.look_around(*client, random);
    }
    case FaultKind::lose_replies:
      return lose_replies(server, random.between_times(10ms, 3s));
    case FaultKind::slow_server:
      server.machine->slow_down(static_cast<u32>(u64{1} << random.between(3, 12)));
      return after(time, [&server] { server.machine->slow_down(1); });
    case FaultKind::jump_clock:
      return server.machine->jump_clock(random.between_times(0s, 20min) - 10min);
    case FaultKind::fail_flush:
      if (plan_.victim) cluster_.servers()[*plan_.victim]->machine->fail_flushes(1);
      return;
    case FaultKind::flip_bits:
      if (plan_.victim) cluster_.servers()[*plan_.victim]->machine->flip_random_bits(random, 4);
      return;
  }
}

void Chaos::start_client(Client& client) {
  cluster_.start_client(client, [this](Client& ready) { workload_.run_on(ready); });
}

void Chaos::heal() {
  ++round_serial_;
  sim::World& world = cluster_.world();
  workload_.note("HEAL");
  world.heal();
  const sim::FaultOptions calm = [&] {
    sim::FaultOptions out;
    out.disk_bytes = world.faults().disk_bytes;
    return out;
  }();
  world.faults() = calm;
  for (const auto& server : cluster_.servers()) {
    server->machine->set_disk_faults(std::nullopt);
    server->machine->fail_flushes(0);
    server->machine->slow_down(1);
    // A disk that failed is what an operator restarts a node for.
    if (plan_.victim == server->number) cluster_.restart_server(*server);
    if (!server->machine->is_up()) cluster_.start_server(*server);
  }
  for (const auto& client : cluster_.clients()) {
    if (client->number >= plan_.cluster.clients) continue;
    if (!client->machine->is_up()) start_client(*client);
  }
}

}  // namespace claudefs::simulator
