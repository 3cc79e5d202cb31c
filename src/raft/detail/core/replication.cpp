// Log replication: paper section 5.3; pipelining and sending before the own disk has it, thesis sections
// 10.2.1 and 10.2.2; commitment only of own-term entries, paper section 5.4.2.
#include "base/check.h"
#include "base/mutant.h"
#include "base/probe.h"
#include "raft/core.h"
#include "wire/codec.h"

namespace claudefs::raft {

CFS_DEFINE_MUTANT(raft_commit_off_by_one, "raft: a leader commits one entry more than a quorum has");
CFS_DEFINE_MUTANT(raft_commits_older_terms, "raft: entries of earlier terms commit by counting (figure 8)");
CFS_DEFINE_MUTANT(raft_append_unchecked, "raft: a follower appends without comparing the entry before");
CFS_DEFINE_MUTANT(raft_commits_on_one_copy, "raft: the leader commits what only itself has");
CFS_DEFINE_MUTANT(raft_acks_before_persist, "raft: a follower acknowledges entries before they are durable");
CFS_DEFINE_MUTANT(raft_keeps_conflicting_entries,
                  "raft: a follower keeps entries that conflict with the leader");

namespace {

// A log that follows the entry before it: indices without a gap, terms that never fall nor pass the sender's.
bool is_well_formed(const Message& message) {
  u64 index = message.index.value;
  Term term = message.log_term;
  for (const Entry& entry : message.entries) {
    if (entry.index.value != ++index || entry.term < term) return false;
    term = entry.term;
  }
  return term <= message.term;
}

}  // namespace

void Core::on_append(Message& message, Instant now) {
  if (role_ == Role::leader || !is_well_formed(message)) return;
  heard_from_leader(message.from, now);
  check_reminder(message);
  const bool matches = log_.matches(message.index, message.log_term) ||
                       (CFS_MUTANT(raft_append_unchecked) && message.index == log_.last());
  if (needs_snapshot_ || !matches) {
    // What we committed matches every leader: an old, reordered message; skip to what is news.
    const bool stale = message.index < log_.start() && !needs_snapshot_;
    if (!stale) return refuse_append(message);
  }
  LogIndex last{message.index.value + message.entries.size()};
  bool changed = false;
  for (Entry& entry : message.entries) {
    if (entry.index <= commit_ || log_.matches(entry.index, entry.term)) continue;
    if (CFS_MUTANT(raft_keeps_conflicting_entries) && entry.index <= log_.last()) continue;
    if (entry.index <= log_.last()) {
      CFS_PROBE(raft_conflicting_entries_removed, "entries of a deposed leader are removed");
      log_.truncate_from(entry.index);
      persist_upto_ = std::min(persist_upto_, log_.last());
      changed |= config_index_ > log_.last();
      if (changed) follow_configuration();
    }
    // Only where what is committed here is not the leader's: some disk forgot more than it may. Not ours to
    // mend.
    if (entry.index.value != log_.last().value + 1 || entry.term < log_.last_term()) {
      CFS_PROBE(raft_append_does_not_fit, "an append that contradicts what is committed here is refused");
      follow_configuration();
      return refuse_append(message);
    }
    if (entry.kind == EntryKind::configuration) {
      Result<Configuration> next = wire::decode<Configuration>(entry.data);
      if (!next) {  // nobody can follow members that nobody can read
        follow_configuration();
        return refuse_append(message);
      }
      changes_[entry.index] = std::move(*next);
      changed = true;
    }
    log_.append(std::move(entry));
  }
  if (changed) follow_configuration();
  last = std::max(last, std::min(commit_, log_.start()));
  commit_ = std::max(commit_, std::min(message.commit, last));
  Message reply = make(MessageKind::append_reply, message.from);
  reply.index = last;
  reply.stamp = message.stamp;
  if (CFS_MUTANT(raft_acks_before_persist)) return send(std::move(reply));
  promise(std::move(reply));
}

// Fast back-up (paper, end of section 5.3): names the newest entry here that could be the leader's.
void Core::refuse_append(const Message& message) {
  Message reply = make(MessageKind::append_reply, message.from);
  reply.reject = true;
  reply.wants_snapshot = needs_snapshot_;
  reply.index = message.index;
  reply.stamp = message.stamp;
  reply.hint_index = log_.last_not_above(std::min(message.index, log_.last()), message.log_term);
  reply.hint_term = log_.term_at(reply.hint_index).value_or(Term{});
  promise(std::move(reply));
}

void Core::on_append_reply(const Message& message, Instant now) {
  auto it = peers_.find(message.from);
  if (role_ != Role::leader || it == peers_.end()) return;
  Progress& progress = it->second;
  progress.stamp = std::max(progress.stamp, message.stamp);
  if (message.wants_snapshot) {
    needs_snapshot_at(message.from, progress, now);
  } else if (message.reject) {
    // Late answers to a window that was given up carry an entry that is known to match, or one not asked for.
    const bool current = progress.state == Progress::State::replicate
                             ? message.index > progress.match
                             : message.index.value + 1 == progress.next.value;
    if (current && progress.state != Progress::State::snapshot) {
      // Before our start nothing can be compared any more: that leads to a snapshot.
      const LogIndex common = message.hint_index < log_.start()
                                  ? message.hint_index
                                  : log_.last_not_above(message.hint_index, message.hint_term);
      // It refuses what it is known to have: its memory is gone. Less is always safe to assume.
      if (message.index <= progress.match) progress.match = std::min(progress.match, common);
      progress.begin_probe();
      progress.next = LogIndex{std::max(progress.match, common).value + 1};
    }
  } else if (message.index > progress.match || progress.state == Progress::State::probe) {
    if (message.index > log_.last()) return;  // not an answer to anything this leader sent
    progress.match = std::max(progress.match, message.index);
    progress.acknowledged_most = std::max(progress.acknowledged_most, message.index);
    progress.next = std::max(progress.next, LogIndex{progress.match.value + 1});
    progress.moved_at = now;
    progress.acknowledged(progress.match);
    if (progress.state == Progress::State::probe && message.index.value + 1 >= progress.next.value) {
      progress.state = Progress::State::replicate;
      progress.paused = false;
    } else if (progress.state == Progress::State::snapshot && progress.match >= log_.start()) {
      progress.begin_probe();
    }
    advance_commit();
    try_timeout_now();
  }
  confirm_reads();
}

void Core::peer_forgot(NodeId node, Instant now) {
  auto it = peers_.find(node);
  if (role_ != Role::leader || it == peers_.end()) return;
  wake(now);
  it->second.match = it->second.acknowledged_most = LogIndex{};
  if (it->second.state != Progress::State::snapshot) it->second.begin_probe();
}

void Core::replicate_to(NodeId peer, Progress& progress, Instant now) {
  if (progress.in_flight.empty()) progress.moved_at = now;
  while (!progress.fetching) {
    if (progress.state == Progress::State::snapshot) return;
    if (progress.state == Progress::State::probe) {
      if (!progress.paused) send_append(peer, progress, now);
      return;
    }
    if (progress.next > log_.last()) return;
    if (progress.in_flight.size() >= options_.inflight_messages) return;
    if (progress.in_flight_bytes >= options_.inflight_bytes) return;
    if (!send_append(peer, progress, now)) return;
  }
}

bool Core::send_append(NodeId peer, Progress& progress, Instant now) {
  if (!log_.term_at(LogIndex{progress.next.value - 1})) {
    needs_snapshot_at(peer, progress, now);
    return false;
  }
  if (progress.next <= log_.last() && !log_.is_cached(progress.next)) {
    progress.fetching = true;
    ready_.fetches.push_back({peer, progress.next});
    return false;
  }
  emit_append(peer, progress, log_.slice(progress.next, log_.last(), options_.append_bytes_max), now);
  return true;
}

void Core::emit_append(NodeId peer, Progress& progress, std::vector<Entry> entries, Instant now) {
  Message message = make(MessageKind::append, peer);
  message.index = LogIndex{progress.next.value - 1};
  message.log_term = *log_.term_at(message.index);
  message.commit = commit_;
  message.stamp = next_stamp(now);
  remind(message, progress);
  message.entries = std::move(entries);
  if (progress.state == Progress::State::probe) {
    progress.paused = true;
  } else if (!message.entries.empty()) {
    progress.next = LogIndex{message.entries.back().index.value + 1};
    progress.sent(message.entries.back().index, message.bytes());
  }
  send(std::move(message));
}

void Core::fetched(NodeId peer, std::vector<Entry> entries, Instant now) {
  auto it = peers_.find(peer);
  if (role_ != Role::leader || it == peers_.end() || !it->second.fetching) return;
  Progress& progress = it->second;
  progress.fetching = false;
  const bool usable = !entries.empty() && entries.front().index == progress.next &&
                      entries.back().index <= log_.last() &&
                      log_.term_at(LogIndex{progress.next.value - 1}).has_value() &&
                      log_.matches(entries.front().index, entries.front().term) &&
                      log_.matches(entries.back().index, entries.back().term);
  if (usable) {
    emit_append(peer, progress, std::move(entries), now);
  } else {
    progress.begin_probe();
    progress.paused = true;  // until the next heartbeat is answered
  }
}

void Core::advance_commit() {
  u64 reached = configuration_.quorum_value([&](NodeId node) { return match_of(node).value; });
  if (CFS_MUTANT(raft_commits_on_one_copy)) reached = log_.persisted().value;
  if (CFS_MUTANT(raft_commit_off_by_one) && reached < log_.last().value) ++reached;
  const LogIndex candidate{reached};
  if (candidate <= commit_) return;
  // An entry of an earlier term commits only beneath one of ours (paper, figure 8).
  const bool own_term = log_.term_at(candidate) == hard_.term;
  if (!own_term && !CFS_MUTANT(raft_commits_older_terms)) return;
  commit_ = candidate;
  configuration_committed();
}

}  // namespace claudefs::raft
