// Linearizable reads without writing the log: ReadIndex and leases (thesis, section 6.4). A lease counts
// from the moment the heartbeat was sent, so it ends before the promise of those who answered it.
#include "base/mutant.h"
#include "raft/core.h"

namespace claudefs::raft {

CFS_DEFINE_MUTANT(raft_quiescent_leader_keeps_lease, "raft: a silent leader trusts its lease for ever");
CFS_DEFINE_MUTANT(raft_lease_ignores_drift, "raft: a lease lasts until followers may elect, and longer");
CFS_DEFINE_MUTANT(raft_stale_leader_reads, "raft: a read is served without asking a quorum");
CFS_DEFINE_MUTANT(raft_new_leader_reads_at_once, "raft: a new leader reads before its no-op is committed");
CFS_DEFINE_MUTANT(raft_lease_never_ends, "raft: a leader trusts its lease for ever");

bool Core::holds_lease(Instant now) const {
  if (role_ != Role::leader || is_transferring() || commit_ < term_start_) return false;
  if (CFS_MUTANT(raft_quiescent_leader_keeps_lease) && quiescent_) return true;
  if (CFS_MUTANT(raft_lease_never_ends)) return true;
  const u64 heard = std::min(quorum_stamp(), static_cast<u64>(now.ns));
  i64 length = options_.election_timeout.count() - options_.lease_drift_max.count();
  if (CFS_MUTANT(raft_lease_ignores_drift)) length *= 2;
  return static_cast<i64>(heard) + length > now.ns;
}

bool Core::read(u64 id, Instant now) {
  if (role_ != Role::leader) return false;
  wake(now);
  used_at_ = now;
  // Until the no-op commits, entries of earlier terms may be committed that we do not know to be.
  const LogIndex index = CFS_MUTANT(raft_new_leader_reads_at_once) ? commit_ : std::max(commit_, term_start_);
  if (holds_lease(now) || CFS_MUTANT(raft_stale_leader_reads)) {
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
