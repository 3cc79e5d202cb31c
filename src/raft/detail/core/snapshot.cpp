// Compaction and snapshots: paper section 7, thesis chapter 5. The state machine's own store is the snapshot;
// the host streams it. A replica whose state machine stands before its log's start keeps its log and its
// votes (others count on them) but does not lead and asks for a snapshot.
#include "base/check.h"
#include "base/mutant.h"
#include "raft/core.h"

namespace claudefs::raft {

CFS_DEFINE_MUTANT(raft_snapshot_installed_half,
                  "raft: a replica goes on while its state machine is replaced");

void Core::compact(LogIndex index) {
  if (index <= log_.start()) return;
  CFS_CHECK(index <= applied_ && index <= log_.persisted());
  log_.restart_at(index, *log_.term_at(index));
  follow_configuration();
  start_changed_ = true;
}

void Core::needs_snapshot_at(NodeId peer, Progress& progress, Instant now) {
  if (progress.state == Progress::State::snapshot || !is_active(peer, now)) return;
  progress.begin_snapshot();
  ready_.snapshots.push_back(peer);
}

void Core::snapshot_sent(NodeId peer, std::optional<LogIndex> index) {
  auto it = peers_.find(peer);
  if (role_ != Role::leader || it == peers_.end()) return;
  Progress& progress = it->second;
  if (progress.state != Progress::State::snapshot) return;
  progress.begin_probe();
  // Its own answer to the next append says what is durable there.
  if (index && *index <= log_.last()) progress.next = LogIndex{std::max(progress.match, *index).value + 1};
  progress.paused = !index;  // a failed one is tried again after the next heartbeat
}

bool Core::snapshot_heard(NodeId leader, Term term, Instant now) {
  if (term < hard_.term) return false;
  if (term > hard_.term) become_follower(term, leader, now);
  if (role_ == Role::leader) return false;
  quiescent_ = false;
  heard_from_leader(leader, now);
  return true;
}

void Core::snapshot_begins() {
  if (CFS_MUTANT(raft_snapshot_installed_half)) return;
  needs_snapshot_ = true;
  applied_ = LogIndex{};
}

void Core::cannot_apply(Instant now) {
  if (role_ != Role::follower) become_follower(hard_.term, NodeId{}, now);
  needs_snapshot_ = true;
}

void Core::restart_log(LogStart start) {
  log_.restart_at(start.index, start.term);
  persist_upto_ = std::min(persist_upto_, log_.last());
  base_ = std::move(start.configuration);
  changes_.erase(changes_.begin(), changes_.upper_bound(start.index));
  follow_configuration();
  commit_ = std::max(commit_, start.index);
  start_changed_ = true;
}

void Core::snapshot_installed(LogStart start, Instant now) {
  applied_ = start.index;
  restart_log(std::move(start));
  needs_snapshot_ = false;
  if (role_ != Role::leader) reset_election_timer(now);
}

}  // namespace claudefs::raft
