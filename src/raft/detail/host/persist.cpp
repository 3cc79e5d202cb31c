// Group commit across groups: whatever all groups want durable goes into one append; what comes meanwhile
// waits for the next. Promises leave only afterwards.
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "base/mutant.h"
#include "base/probe.h"
#include "raft/detail/host/host_impl.h"

namespace claudefs::raft {

CFS_DEFINE_MUTANT(raft_host_hard_state_not_written,
                  "raft: term and vote are not written before they are answered");

void HostImpl::want_write(Group& group) {
  if (!group.core.wants_persist() || group.wants_write) return;
  if (!group.core.must_write()) {
    Persist batch = group.core.take_persist();
    group.core.persisted();
    return route(std::move(batch.messages));
  }
  group.wants_write = true;
  to_write_.push_back(&group);
  write_work_.notify_one();
}

runtime::Task<void> HostImpl::run_persist() {
  while (!stopping_ && !failed_) {
    if (to_write_.empty() && !collect_wanted_) {
      co_await write_work_.wait();
      continue;
    }
    std::vector<ToWrite> writes = take_writes();
    if (!writes.empty()) pace_.write_began(env_.now());
    const Result<void> written = co_await write(&writes).result();
    if (!written) {
      disk_failed(written.error());
      co_return;
    }
    if (!writes.empty()) pace_.write_ended(env_.now());
    for (ToWrite& one : writes) {
      one.group->core.persisted();
      route(std::move(one.batch.messages));
      mark(*one.group);
    }
    flush_peers();
    if (!collect_wanted_) continue;
    collect_wanted_ = false;
    const Result<void> collected = co_await log_->collect().result();
    if (!collected) log::warn("raft", "log files stay", {log::kv("error", collected.error().to_string())});
  }
}

std::vector<HostImpl::ToWrite> HostImpl::take_writes() {
  std::vector<Group*> groups;
  groups.swap(to_write_);
  std::vector<ToWrite> writes;
  for (Group* group : groups) {
    group->wants_write = false;
    writes.push_back(ToWrite{group, group->core.take_persist()});
  }
  return writes;
}

// No space is no reason to die: it is tried again, and meanwhile this node promises nothing.
runtime::Task<Result<void>> HostImpl::write(const std::vector<ToWrite>* writes) {
  while (true) {
    std::vector<GroupRecord> records;
    for (const ToWrite& one : *writes) {
      if (one.batch.nothing_to_write()) continue;
      records.push_back(GroupRecord{one.group->id, one.batch.hard_state, one.batch.start, one.batch.entries});
      if (CFS_MUTANT(raft_host_hard_state_not_written)) records.back().hard_state.reset();
    }
    if (records.empty()) co_return Result<void>{};
    Result<void> written = co_await log_->append(std::move(records)).result();
    const bool again =
        !written && (written.error().code == Errc::no_space || written.error().code == Errc::overloaded);
    if (!again || stopping_) co_return std::move(written);
    CFS_PROBE(raft_host_log_full, "the log cannot grow and is tried again");
    log::warn("raft", "the log cannot grow, trying again", {log::kv("error", written.error().to_string())});
    co_await env_.executor().sleep(options_.election_timeout);
  }
}

void HostImpl::disk_failed(const Error& error) {
  if (stopping_ || failed_) return;
  log::error("raft", "the disk failed: this node leaves its groups until it is restarted",
             {log::kv("error", error.to_string())});
  CFS_PROBE(raft_host_log_failed, "the disk failed: the node leaves its groups");
  failed_ = error;
  for (auto& [id, group] : groups_) {
    if (std::exchange(group->announced, false)) group->machine.on_leadership(false, group->announced_term);
    fail_waiters(*group, Error{Errc::unavailable, "the disk of this node failed: " + error.text});
  }
}

// Entries go with their file, once it is older than what is kept for followers that lag.
void HostImpl::compact_groups() {
  // Also keeps what lies behind damage until it is mended.
  if (!remembers_ || log_->oldest_file() >= log_->current_file()) return;
  for (auto& [id, group] : groups_) {
    Core& core = group->core;
    if (core.needs_snapshot()) continue;
    const LogIndex durable = std::min(group->machine.durable(), core.applied_index());
    const LogIndex upto = std::min({log_->last_beyond_keep(id), durable, core.log().persisted()});
    if (upto <= core.log().start()) continue;
    core.compact(upto);
    mark(*group);
  }
  collect_wanted_ = true;
  write_work_.notify_one();
}

}  // namespace claudefs::raft
