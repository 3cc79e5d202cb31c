// Leadership transfer: thesis, section 3.10. The target's votes ignore leases, so once it was told to start,
// this leader may never again trust its own lease in this term: a transfer that fails ends the term.
#include "base/probe.h"
#include "raft/core.h"

namespace claudefs::raft {

bool Core::transfer(NodeId to, Instant now) {
  const bool possible = role_ == Role::leader && !is_transferring() && to != options_.self &&
                        configuration_.is_voter(to) && commit_ >= term_start_;
  if (!possible) return false;
  wake(now);
  transfer_to_ = to;
  transfer_until_ = now + options_.election_timeout;
  try_timeout_now();
  return true;
}

void Core::try_timeout_now() {
  if (!is_transferring() || timeout_now_sent_) return;
  if (match_of(transfer_to_) != log_.last()) return;
  timeout_now_sent_ = true;
  send(make(MessageKind::timeout_now, transfer_to_));
}

void Core::check_transfer(Instant now) {
  if (!is_transferring() || now < transfer_until_) return;
  if (timeout_now_sent_) {
    CFS_PROBE(raft_transfer_failed, "the target of a transfer did not take over: the leader ends its term");
    return become_follower(hard_.term, NodeId{}, now);
  }
  CFS_PROBE(raft_transfer_given_up, "a leadership transfer took too long before it was announced");
  transfer_to_ = NodeId{};
}

void Core::on_timeout_now(const Message& message, Instant now) {
  if (role_ == Role::leader || message.from != leader_ || !may_stand()) return;
  campaign(/*pre=*/false, /*force=*/true, now);
}

}  // namespace claudefs::raft
