// The schedule of faults in one round: drawn from the seed, each fault by its index alone.
#pragma once

#include "simulator/cluster.h"
#include "simulator/run.h"
#include "simulator/workload.h"

namespace claudefs::simulator {

enum class FaultKind : u8 {
  crash_one,
  crash_all,
  crash_loop,
  pause,
  isolate,
  cut_one_way,
  split,
  clog,
  reset,
  crash_client,
  isolate_client,
  pause_client,
  wipe,              // the victim's disk
  fail_flush,        // of the victim
  flip_bits,         // in the victim's files
  blackout,          // all servers, for longer than clients wait
  cut_from_servers,  // a server that clients still reach
  lose_replies,      // what a server did is not heard of, then its connections to clients break
  slow_server,
  jump_clock,
  wipe_after_crash,  // the victim's disk, just when another server's memory is lost
  cut_client,        // a client that reaches one server only
};
inline constexpr u32 kFaultKinds = 22;
std::string_view name_of(FaultKind kind);

class Chaos {
 public:
  Chaos(Cluster& cluster, Workload& workload, const Plan& plan, Report& report)
      : cluster_(cluster), workload_(workload), plan_(plan), report_(report) {}
  // Plans the faults of a round that begins now. Heal before the next.
  void begin_round(u32 round);
  // Everything up, connected and fault-free; what was damaged is restarted.
  void heal();
  void start_client(Client& client);

 private:
  void strike_often(u32 round, std::string_view stream, u32 first, u32 count,
                    void (Chaos::*what)(sim::RandomStream));
  void hand_over(sim::RandomStream random);
  void move_shard(sim::RandomStream random);
  void strike_handover(InodeId inode, Client& writer, sim::RandomStream random);
  void strike(FaultKind kind, sim::RandomStream random);
  void bring_down(Server& server, runtime::Duration time);
  void bring_up_later(Server& server, runtime::Duration time);
  void after(runtime::Duration delay, std::function<void()> action);  // unless healed before
  void cut_for(std::vector<std::string> one, std::vector<std::string> other, bool both_ways,
               runtime::Duration time);
  void wipe_victim(runtime::Duration down);
  void lose_replies(Server& server, runtime::Duration time);
  void pause(sim::Node& machine, runtime::Duration time);
  Server& some_server(sim::RandomStream& random);
  Client* some_client(sim::RandomStream& random);
  std::vector<std::string> all_but(const std::string& name) const;
  std::vector<std::string> servers_but(const Server& one) const;

  Cluster& cluster_;
  Workload& workload_;
  const Plan& plan_;
  Report& report_;
  runtime::Instant round_ends_{};
  u64 round_serial_ = 0;  // actions of a healed round do nothing
  bool wiped_ = false;
};

}  // namespace claudefs::simulator
