// A small world of cores: message loss, duplication, reordering, partitions, crashes that keep only what was
// persisted, skewed clocks, snapshots, compaction. Checks Raft's safety properties after every step with
// bookkeeping of its own, independent of the core's.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <random>
#include <set>
#include <string>

#include "raft/core.h"
#include "raft/detail/host/peer_watch.h"

namespace claudefs::raft::testing {

struct Faults {
  // A random subset of the kinds below at random rates, so that rare histories are not drowned by common
  // ones.
  static Faults swarm(u64 seed);

  int members = 3;
  double loss = 0.02;
  double duplication = 0.02;
  double crash_a_tick = 0.004;  // per node and tick
  double lost_disk_a_tick = 0;  // per node and tick, one at a time
  double partition_a_tick = 0.01;
  double transfer_a_tick = 0.01;
  double compact_a_tick = 0.05;
  double proposals_a_tick = 0.5;
  i64 delay_us_max = 20'000;
  i64 flush_us_max = 8'000;
  i64 virtual_ms = 2'500;
  double straggle = 0.005;         // of messages: late by up to 400 ms
  double leader_crash_a_tick = 0;  // besides crash_a_tick
  i64 restart_ms_max = 300;
  std::size_t append_bytes = 200;
  double pause_a_tick = 0.002;  // per node: no event reaches it for a while, its clock goes on
  i64 pause_ms_max = 600;
  double idle_a_tick = 0.01;  // clients stop, until they go on
  i64 quiesce_ms = 150;
  double change_a_tick = 0;       // a leader begins a change of members
  int founders = 0;               // voters at the beginning; 0: all
  double crash_after_vote = 0;    // a node that made a vote durable
  double straggle_votes = 0;      // of messages of elections
  double new_leader_trouble = 0;  // a leader crashes or is cut off within its first 20 ms
};

class CoreSimulator {
 public:
  CoreSimulator(u64 seed, Faults faults);
  // Runs with faults, heals, and sees that the group works again. Empty, or what was violated.
  std::string run();

 private:
  struct Machine {
    std::vector<std::string> values;  // values[i] is entry i + 1
    LogIndex applied{};
    Term term{};
  };
  struct Disk {
    HardState hard;
    LogStart start;
    std::map<u64, Entry> entries;
  };
  struct Node {
    NodeId id{};
    std::unique_ptr<Core> core;
    u64 life = 0;  // events of an earlier life are void
    Disk disk;
    Machine machine;
    Machine durable;  // what a crash leaves of it
    double rate = 1;
    i64 offset = 0;
    PeerWatch watch{std::chrono::milliseconds(200)};
    i64 paused_until = 0;
    std::optional<Persist> persisting;
    bool amnesiac = false;  // lost its disk, and has not all back
    bool was_leader = false;
    LogIndex seen_commit{};
    std::map<u64, u64> read_floor;  // read id -> what was acknowledged when it began
    std::map<u64, u64> proposed;    // index -> term: acknowledged to a client when applied
  };
  struct Event {
    i64 at_us;
    u64 order;
    std::function<void()> act;
    bool operator>(const Event& other) const {
      return std::tie(at_us, order) > std::tie(other.at_us, other.order);
    }
  };

  bool chance(double p) { return std::uniform_real_distribution<>(0, 1)(random_) < p; }
  i64 below(i64 n) { return static_cast<i64>(random_() % static_cast<u64>(std::max<i64>(1, n))); }
  void after(i64 us, std::function<void()> act);
  void after_on(Node& node, i64 us, std::function<void()> act);
  void fail(std::string what);
  Instant clock(const Node& node) const;
  Node& node(NodeId id) { return *nodes_[id.value - 1u]; }

  void boot(Node& node);
  void crash(Node& node, i64 restart_ms_max);
  void pause(Node& node);
  void change_members(Node& leader);
  bool is_member(const Node& node) const;
  void trouble_new_leader(Node& node);
  void beat();
  void heard(Node& to, NodeId from, u64 boot);
  void give_empty_disk(Node& node);
  void lose_disk(Node& node);
  bool rejoin(Node& node);
  void tick();
  void trouble();
  void client();
  void deliver(Message message);
  void drain(Node& node);
  void start_persist(Node& node);
  void finish_persist(Node& node);
  void apply(Node& node);
  void stream_snapshot(Node& from, NodeId to);
  void begin_install(Node& from, NodeId to, Machine picture, LogStart start, Term term);
  void answer_fetch(Node& node, Ready::Fetch fetch);

  void check(Node& node);
  void check_leader(Node& node);
  void check_entries(const Node& node, const std::vector<Entry>& entries);
  void check_commit(Node& node);
  void check_leases();
  std::string settle();
  std::string settle_idle(const std::function<void(i64)>& run_for);

  Faults faults_;
  std::mt19937_64 random_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  u64 order_ = 0;
  i64 now_us_ = 1'000'000;
  bool calm_ = false;
  bool idle_ = false;
  u64 ticks_ = 0;
  std::set<std::pair<u16, u16>> cut_;
  std::string violation_;
  u64 next_read_ = 1;
  u64 next_value_ = 1;

  // The independent record of the world.
  std::map<u64, NodeId> leader_of_term_;
  std::map<std::pair<u64, u64>, std::string> written_;  // (index, term) -> previous term and data
  struct Commitment {
    Term term{};     // of the entry
    Term in_term{};  // when: a leader of an earlier term, elected late by old votes, need not have it
  };
  std::map<u64, Commitment> committed_;  // by index
  std::vector<std::string> applied_;     // value of entry i + 1
  u64 acknowledged_ = 0;                 // the newest entry that a client was told of
};

}  // namespace claudefs::raft::testing
