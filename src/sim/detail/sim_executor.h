// A node's view of the world's queue.
#pragma once

#include <unordered_map>

#include "sim/node.h"

namespace claudefs::sim {

class SimExecutor final : public runtime::Executor {
 public:
  SimExecutor(Node& node, u64 seed);
  void post(runtime::WaitNode& node) override;
  void arm(runtime::TimerNode& node) override;
  void disarm(runtime::TimerNode& node) override;
  runtime::Instant now() const override { return shown_at(owner_.world().now()); }
  runtime::WallTime wall_now() const override;
  void post_remote(std::function<void()> work) override;

  void jump_clock(runtime::Duration by) { skew_ += by; }

  // Forgets what is ready and armed. Not inside a coroutine of this node.
  void crash();

 private:
  // What its clock shows at a moment of the world, and the first such moment at which it shows `due`.
  runtime::Instant shown_at(runtime::Instant world) const {
    if (drift_ == 0) return world;
    return {world.ns + static_cast<i64>(static_cast<__int128>(world.ns) * drift_ / 1'000'000)};
  }
  runtime::Instant when_it_shows(runtime::Instant due) const;
  void plan_turn();
  void take_turn();
  void fire(u64 sequence);

  struct Armed {
    runtime::TimerNode* node;
    World::Scheduled event;
  };
  Node& owner_;
  RandomStream schedule_;
  runtime::Duration skew_;
  i64 drift_;  // millionths
  runtime::WaitList ready_;
  std::unordered_map<u64, Armed> timers_;  // by TimerNode::sequence
  u64 timer_sequence_ = 0;
  bool turn_planned_ = false;
  bool running_ = false;
};

class SimOffload final : public runtime::Offload {
 public:
  SimOffload(Node& node, u64 seed) : node_(node), stream_(seed, "offload", node.index()) {}
  // Runs the work inside the simulation, at the end of a drawn time.
  runtime::Task<void> run(std::function<void()> work) override;

 private:
  Node& node_;
  RandomStream stream_;
};

}  // namespace claudefs::sim
