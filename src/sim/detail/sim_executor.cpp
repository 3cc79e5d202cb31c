#include "sim/detail/sim_executor.h"

namespace claudefs::sim {

using namespace runtime;

namespace {
constexpr std::int64_t kWorldBegins = 1'750'000'000'000'000'000;  // wall clock, in 2025
}

SimExecutor::SimExecutor(Node& node, u64 seed)
    : owner_(node), schedule_(seed, "schedule", node.index()), skew_(0), drift_(0) {
  const Duration most = node.world().faults().clock_skew_max;
  skew_ = schedule_.between_times(0ns, most * 2) - most;
  const u32 drift_most = node.world().faults().clock_drift_max;
  RandomStream stream(seed, "drift", node.index());
  drift_ = static_cast<i64>(stream.between(0, 2 * u64{drift_most})) - drift_most;
}

Instant SimExecutor::when_it_shows(Instant due) const {
  if (drift_ == 0 || due == Instant::never()) return due;
  Instant at{static_cast<i64>(static_cast<__int128>(due.ns) * 1'000'000 / (1'000'000 + drift_))};
  while (shown_at(at) < due) ++at.ns;
  return at;
}

WallTime SimExecutor::wall_now() const { return {kWorldBegins + now().ns + skew_.count()}; }

void SimExecutor::post(WaitNode& node) {
  if (!owner_.is_up()) return;
  ready_.push_back(node);
  if (!running_) plan_turn();
}

void SimExecutor::plan_turn() {
  if (turn_planned_ || ready_.empty()) return;
  turn_planned_ = true;
  World& world = owner_.world();
  world.schedule(world.now() + schedule_.between_times(20ns, 400ns) * owner_.slowness(), &owner_,
                 World::EventKind::turn, [this] { take_turn(); });
}

void SimExecutor::take_turn() {
  turn_planned_ = false;
  if (ready_.empty()) return;  // its frame was destroyed meanwhile
  WaitNode& node = ready_.front();
  node.unlink();
  running_ = true;
  node.handle.resume();
  running_ = false;
  plan_turn();
}

void SimExecutor::arm(TimerNode& node) {
  CFS_CHECK(!node.armed_);
  if (!owner_.is_up()) return;
  node.armed_ = true;
  node.sequence = ++timer_sequence_;
  const u64 sequence = node.sequence;
  const World::Scheduled event = owner_.world().schedule(
      when_it_shows(node.due), &owner_, World::EventKind::timer, [this, sequence] { fire(sequence); });
  timers_.emplace(sequence, Armed{&node, event});
}

void SimExecutor::disarm(TimerNode& node) {
  if (!node.armed_) return;
  node.armed_ = false;
  const auto found = timers_.find(node.sequence);
  CFS_CHECK(found != timers_.end());
  owner_.world().unschedule(found->second.event);
  timers_.erase(found);
}

void SimExecutor::fire(u64 sequence) {
  const auto found = timers_.find(sequence);
  CFS_CHECK(found != timers_.end());
  TimerNode& node = *found->second.node;
  timers_.erase(found);
  node.armed_ = false;
  node.fire();
}

void SimExecutor::post_remote(std::function<void()> work) {
  if (!owner_.is_up()) return;
  World& world = owner_.world();
  world.schedule(world.now() + schedule_.between_times(100ns, 10us), &owner_, World::EventKind::remote,
                 std::move(work));
}

void SimExecutor::crash() {
  CFS_CHECK(!running_);  // a coroutine cannot crash the node it runs on: use World::after
  while (!ready_.empty()) ready_.front().unlink();
  for (auto& [sequence, armed] : timers_) armed.node->armed_ = false;
  timers_.clear();
  turn_planned_ = false;
}

Task<void> SimOffload::run(std::function<void()> work) {
  co_await node_.executor().sleep(stream_.between_times(1us, 200us));
  work();
}

}  // namespace claudefs::sim
