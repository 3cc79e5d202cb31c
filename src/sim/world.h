// The simulated world: one seed, one thread, one virtual clock, one queue of events.
//
//   World world(seed, draw_faults(seed));
//   Node& a = world.add_node("a");            // a runtime::Env for production code
//   Scope scope(a.executor());
//   scope.spawn(server(a));
//   EXPECT_TRUE(world.run_until([&] { return done; }, 10s));
//
// Events run in the order (virtual time, a tie-break drawn from the seed, sequence). Resuming a coroutine
// costs a drawn 20 to 400 ns of virtual time, so that loops that only yield cannot stop the clock. The
// same seed and the same code give the same trace_hash(): a test that runs a seed twice proves that
// nothing leaked in from outside. docs/simulator.md lists the faults.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sim/faults.h"
#include "sim/random_stream.h"

namespace claudefs::sim {

class Node;

class World {
 public:
  explicit World(u64 seed, FaultOptions faults = {});
  // Everything that uses a node's doors is destroyed before.
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // `name` is the node's host name on the simulated network ("a" in "a:7000"), unique, without a colon.
  Node& add_node(std::string name);
  Node& node(const std::string& name);  // requires that it exists

  runtime::Instant now() const { return now_; }
  u64 seed() const { return seed_; }
  // Runs events until `holds` (looked at before the first and after each event) or `limit` has passed.
  // True when it held.
  bool run_until(const std::function<bool()>& holds, runtime::Duration limit);
  void run_for(runtime::Duration time);
  // Does any world of this process run an event now? What it reaches then must be the world's.
  static bool is_running() { return running_; }
  // Calls `action` after `delay`, from outside every node: the place to crash and restart nodes.
  void after(runtime::Duration delay, std::function<void()> action);

  // A stream of its own for the test's decisions.
  RandomStream stream(std::string_view name) const { return RandomStream(seed_, name); }
  FaultOptions& faults() { return faults_; }  // may change at any time, as for a healing phase

  // Directed links, by node name. A blocked link delivers nothing: connects time out, data waits, and a
  // connection that is cut for 20 s is lost at both ends.
  void block(const std::string& from, const std::string& to);
  void unblock(const std::string& from, const std::string& to);
  void partition(const std::vector<std::string>& one, const std::vector<std::string>& other);  // both ways
  void isolate(const std::string& name);  // from and to everyone
  void heal();                            // unblocks and unclogs all links
  // What is sent from now on and would arrive before `time` has passed arrives then.
  void clog(const std::string& from, const std::string& to, runtime::Duration time);
  // Resets every connection between the two.
  void reset_connections(const std::string& one, const std::string& other);

  // Faults that happened so far, by kind. `kind` is a literal.
  void count_fault(const char* kind) { ++fault_counts_[kind]; }
  const std::map<std::string, u64, std::less<>>& fault_counts() const { return fault_counts_; }

  // Over (time, node, kind) of every event so far.
  u64 trace_hash() const { return trace_hash_; }
  u64 events() const { return events_; }

  // For the doors of this module.
  enum class EventKind : u8 { outside, turn, timer, remote, network };
  struct EventKey {
    runtime::Instant at;
    u64 tie = 0;
    u64 sequence = 0;
    auto operator<=>(const EventKey&) const = default;
  };
  struct Scheduled {
    u64 sequence = 0;
    u32 slot = 0;
  };
  // `owner` null: survives every crash. The event runs at `at`, or now when that has passed.
  Scheduled schedule(runtime::Instant at, Node* owner, EventKind kind, std::function<void()> action);
  void unschedule(Scheduled event);  // nothing happens when it has run already
  void drop_events_of(const Node& owner);
  Node* find_node(const std::string& name);
  bool is_blocked(const Node& from, const Node& to) const;
  // When a segment that leaves now arrives.
  runtime::Instant arrival(const Node& from, const Node& to);
  RandomStream& network_stream() { return network_stream_; }

 private:
  struct Event {
    u64 sequence = 0;  // of its key; 0: none, or taken back
    Node* owner = nullptr;
    EventKind kind{};
    std::function<void()> action;
  };
  // What is to come, in a heap of keys: an event that was taken back leaves its key behind, which is skipped.
  struct Due {
    EventKey key;
    u32 slot = 0;
    bool operator>(const Due& other) const { return key > other.key; }
  };
  using Link = std::pair<std::string, std::string>;
  void push(Due due);
  const Due* next_due();  // nullptr: nothing is to come
  Due pop();
  Event take_back(u32 slot);
  void step();
  inline static bool running_ = false;
  void lose_if_still_blocked(Link link, u64 since);

  u64 seed_;
  FaultOptions faults_;
  RandomStream network_stream_;
  runtime::Instant now_{};
  u64 sequence_ = 0;
  u64 events_ = 0;
  u64 trace_hash_;
  std::map<std::string, std::unique_ptr<Node>> nodes_;
  std::map<Link, u64> blocked_;  // with the serial of its blocking
  std::map<Link, runtime::Instant> clogged_;
  std::map<std::string, u64, std::less<>> fault_counts_;
  // Destroyed before the nodes they refer to.
  std::vector<Event> events_to_come_;
  std::vector<u32> free_slots_;
  std::vector<Due> heap_;
  std::optional<Due> soonest_;  // ahead of all of the heap: a node's next turn, mostly
};

}  // namespace claudefs::sim
