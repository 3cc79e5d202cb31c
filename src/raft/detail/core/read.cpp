// Linearizable reads without writing the log: ReadIndex and leases (thesis, section 6.4). A lease counts
// from the moment the heartbeat was sent, so it ends before the promise of those who answered it.
#include "raft/core.h"

namespace claudefs::raft {

bool Core::holds_lease(Instant now) const {
  if (role_ != Role::leader || is_transferring() || commit_ < term_start_) return false;
  const u64 heard = std::min(quorum_stamp(), static_cast<u64>(now.ns));
  const i64 length = options_.election_timeout.count() - options_.lease_drift_max.count();
  return static_cast<i64>(heard) + length > now.ns;
}

bool Core::read(u64 id, Instant now) {
  if (role_ != Role::leader) return false;
  // Until the no-op commits, entries of earlier terms may be committed that we do not know to be.
  const LogIndex index = std::max(commit_, term_start_);
  if (holds_lease(now)) {
    ready_.reads.push_back({id, true, index});
    return true;
  }
  if (reads_.empty() || reads_.back().after != stamp_) wants_heartbeat_ = true;
  reads_.push_back({id, index, stamp_});
  confirm_reads();
  return true;
}

void Core::confirm_reads() {
  if (reads_.empty()) return;
  const u64 heard = quorum_stamp();
  std::size_t done = 0;
  while (done < reads_.size() && heard > reads_[done].after) {
    ready_.reads.push_back({reads_[done].id, true, reads_[done].index});
    ++done;
  }
  reads_.erase(reads_.begin(), reads_.begin() + static_cast<std::ptrdiff_t>(done));
}

void Core::fail_reads() {
  for (const PendingRead& read : reads_) ready_.reads.push_back({read.id, false, LogIndex{}});
  reads_.clear();
}

}  // namespace claudefs::raft
