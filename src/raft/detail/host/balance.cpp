// Leaders go back to the member that each group prefers, so that they spread evenly after a node returns; and
// off a node whose log takes several times as long as others': a leader waits for its own log before it
// applies.
#include "base/log.h"
#include "raft/detail/host/host_impl.h"

namespace claudefs::raft {

namespace {
constexpr int kTransfersAtOnce = 16;
constexpr u32 kTimesSlower = 4;
constexpr u32 kSlowerBy = 20'000;  // us; less is not worth an interruption
constexpr u32 kLooksBefore = 3;    // in succession, one every election timeout

bool is_much_slower(u32 one, u32 other) { return u64{one} > u64{kTimesSlower} * other + kSlowerBy; }
}  // namespace

u32 HostImpl::pace_of(NodeId node) const {
  auto it = paces_.find(node);
  return it == paces_.end() ? 0 : it->second;
}

bool HostImpl::hand_over(Group& group, NodeId to, const char* why) {
  const runtime::Instant now = env_.now();
  Core& core = group.core;
  const bool ready = core.is_active(to, now) && core.match_of(to) >= core.commit();
  if (!ready || !core.transfer(to, now)) return false;
  log::debug("raft", why, {log::kv("group", group.id), log::kv("to", to)});
  mark(group);
  return true;
}

void HostImpl::balance() {
  const runtime::Instant now = env_.now();
  const u32 mine = pace_.microseconds(now);
  int begun = 0;
  for (auto& [id, group] : groups_) {
    const bool settled = group->announced && now - group->led_since >= options_.balance_every;
    if (!settled || group->preferred == options_.self || begun == kTransfersAtOnce) continue;
    if (is_much_slower(pace_of(group->preferred), mine)) continue;
    begun += hand_over(*group, group->preferred, "leadership goes to the preferred member");
  }
}

void HostImpl::leave_if_slow() {
  const runtime::Instant now = env_.now();
  const u32 mine = pace_.microseconds(now);
  std::vector<NodeId> quick;
  for (const auto& [node, pace] : paces_)
    if (pace != 0 && is_much_slower(mine, pace)) quick.push_back(node);
  looked_slow_ = quick.empty() ? 0 : looked_slow_ + 1;
  if (looked_slow_ < kLooksBefore) return;
  int begun = 0;
  for (auto& [id, group] : groups_) {
    const bool settled = group->announced && now - group->led_since >= 2 * options_.election_timeout;
    if (!settled || begun == kTransfersAtOnce) continue;
    const Configuration& members = group->core.configuration();
    for (std::size_t i = 0; i < quick.size(); ++i) {
      const NodeId to = quick[(id.value + i) % quick.size()];
      if (!members.is_voter(to) || !hand_over(*group, to, "leadership leaves a slow node")) continue;
      ++begun;
      break;
    }
  }
  if (begun != 0)
    log::warn("raft",
              "this node is several times slower than others: a failing disk, or too little processor? It "
              "leads less",
              {log::kv("milliseconds", mine / 1000), log::kv("handed over", begun)});
}

}  // namespace claudefs::raft
