// Committed entries into the state machine, in batches; then whoever waited for them.
#include <fmt/format.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mutant.h"
#include "base/probe.h"
#include "raft/detail/host/host_impl.h"

namespace claudefs::raft {

CFS_DEFINE_MUTANT(raft_host_applies_twice, "raft: a batch of entries is applied twice");
CFS_DEFINE_MUTANT(
    raft_host_answers_lost_proposal,
    "raft: a proposal outlives its leader and is answered with the reply of the entry that took its place");

namespace {
constexpr std::size_t kApplyBytes = 1_MiB;
}

void HostImpl::apply_if_needed(Group& group) {
  if (!group.applying && group.core.applied_index() < group.core.apply_limit()) {
    group.applying = true;
    scope_.spawn(apply(&group));
  }
  announce_if_ready(group);
}

runtime::Task<void> HostImpl::apply(Group* group) {
  Core& core = group->core;
  while (!stopping_ && core.applied_index() < core.apply_limit()) {
    const LogIndex from{core.applied_index().value + 1};
    std::vector<Entry> entries = core.log().slice(from, core.apply_limit(), kApplyBytes);
    if (entries.empty()) {
      Result<std::vector<Entry>> read =
          co_await log_->read(group->id, from, core.apply_limit(), kApplyBytes).result();
      if (!read) {
        log::error("raft", "a committed entry cannot be read back; the leader sends what it did",
                   {log::kv("group", group->id), log::kv("error", read.error().to_string())});
        CFS_PROBE(raft_host_cannot_apply,
                  "a committed entry cannot be read back: the leader sends what it did");
        core.cannot_apply(env_.now());
        mark(*group);
        break;
      }
      // A snapshot may have come in between.
      const bool current =
          core.applied_index().value + 1 == from.value && read->back().index <= core.apply_limit();
      if (!current) continue;
      entries = std::move(*read);
    }
    apply_batch(*group, std::move(entries));
    co_await env_.executor().yield();
  }
  group->applying = false;
}

void HostImpl::apply_batch(Group& group, std::vector<Entry> entries) {
  std::vector<Committed> batch;
  batch.reserve(entries.size());
  for (Entry& entry : entries) {
    Buffer command = entry.kind == EntryKind::command ? std::move(entry.data) : Buffer{};
    batch.push_back(Committed{entry.index, entry.term, std::move(command)});
  }
  if (CFS_MUTANT(raft_host_applies_twice) && batch.front().index.value % 16 == 0)
    (void)group.machine.apply(batch);
  std::vector<Buffer> replies = group.machine.apply(batch);
  CFS_CHECK(replies.size() == batch.size());
  group.core.applied(batch.back().index);
  for (std::size_t i = 0; i < batch.size(); ++i) {
    auto waiting = group.proposals.find(batch[i].index);
    if (waiting == group.proposals.end()) continue;
    if (waiting->second.term == batch[i].term || CFS_MUTANT(raft_host_answers_lost_proposal)) {
      answer(group, waiting, std::move(replies[i]));
    } else {
      CFS_PROBE(raft_host_proposal_replaced, "another entry is committed where a proposal was");
      answer(group, waiting, fail(Errc::unavailable, "leadership was lost"));
    }
  }
  wake_applied(group);
  announce_if_ready(group);
}

void HostImpl::answer(Group& group, std::map<LogIndex, Group::Proposal>::iterator proposal,
                      Result<Buffer> reply) {
  group.proposed_bytes -= proposal->second.bytes;
  proposed_bytes_ -= proposal->second.bytes;
  proposal->second.reply->set(std::move(reply));
  group.proposals.erase(proposal);
}

void HostImpl::wake_applied(Group& group) {
  while (!group.to_apply.empty() && group.to_apply.begin()->first <= group.core.applied_index()) {
    auto first = group.to_apply.begin();
    first->second->set(first->first);
    group.to_apply.erase(first);
  }
}

void HostImpl::leadership_changed(Group& group, const Leadership& now) {
  const bool same_reign = now.leader && group.announced && group.announced_term == now.term;
  if (!same_reign) {
    if (group.announced) group.machine.on_leadership(false, group.announced_term);
    group.announced = false;
    if (!CFS_MUTANT(raft_host_answers_lost_proposal))
      fail_waiters(group, Error{Errc::unavailable, fmt::format("group {}: leadership was lost", group.id)});
  }
  if (now.leader) group.led_since = env_.now();
}

// A leader serves once everything before its term is applied.
void HostImpl::announce_if_ready(Group& group) {
  if (group.announced || !group.core.is_leader()) return;
  if (group.core.applied_index() < group.core.term_start()) return;
  group.announced = true;
  group.announced_term = group.core.term();
  group.machine.on_leadership(true, group.announced_term);
}

void HostImpl::reads_ready(Group& group, const std::vector<Ready::Read>& reads) {
  for (const Ready::Read& read : reads) {
    auto it = group.reads.find(read.id);
    if (it == group.reads.end()) continue;
    Group::Waiter waiter = std::move(it->second);
    group.reads.erase(it);
    if (!read.ok) {
      waiter->set(fail(not_leader(group)));
    } else if (read.index <= group.core.applied_index()) {
      waiter->set(read.index);
    } else {
      group.to_apply.emplace(read.index, std::move(waiter));
    }
  }
}

void HostImpl::fail_waiters(Group& group, const Error& error) {
  while (!group.proposals.empty()) answer(group, group.proposals.begin(), fail(error));
  for (auto& [id, waiter] : group.reads) waiter->set(fail(error));
  for (auto& [index, waiter] : group.to_apply) waiter->set(fail(error));
  group.reads.clear();
  group.to_apply.clear();
}

// For a follower that lags behind what is in memory.
runtime::Task<void> HostImpl::fetch(Group* group, Ready::Fetch what) {
  Result<std::vector<Entry>> entries =
      co_await log_->read(group->id, what.from, group->core.log().persisted(), 1_MiB).result();
  if (!entries) {
    CFS_PROBE(raft_host_cannot_fetch, "an entry for a follower cannot be read back: it gets a snapshot");
    // What cannot be read cannot be sent, but the state machine has it: followers get a snapshot instead.
    log::error("raft", "an entry cannot be read back; who needs it gets a snapshot",
               {log::kv("group", group->id), log::kv("error", entries.error().to_string())});
    Core& core = group->core;
    const LogIndex upto = std::min({group->machine.durable(), core.applied_index(), core.log().persisted()});
    if (upto >= what.from) core.compact(upto);
    entries = std::vector<Entry>{};
  }
  group->core.fetched(what.peer, std::move(*entries), env_.now());
  mark(*group);
}

}  // namespace claudefs::raft
