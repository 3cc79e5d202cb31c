// Leaders go back to the member that each group prefers, so that they spread evenly after a node returns.
#include "base/log.h"
#include "raft/detail/host/host_impl.h"

namespace claudefs::raft {

namespace {
constexpr int kTransfersAtOnce = 16;
}

void HostImpl::balance() {
  const runtime::Instant now = env_.now();
  int begun = 0;
  for (auto& [id, group] : groups_) {
    Core& core = group->core;
    const bool settled = group->announced && now - group->led_since >= options_.balance_every;
    if (!settled || group->preferred == options_.self || begun == kTransfersAtOnce) continue;
    const bool ready =
        core.is_active(group->preferred, now) && core.match_of(group->preferred) >= core.commit();
    if (!ready || !core.transfer(group->preferred, now)) continue;
    ++begun;
    log::debug("raft", "leadership goes to the preferred member",
               {log::kv("group", id), log::kv("to", group->preferred)});
    mark(*group);
  }
}

}  // namespace claudefs::raft
