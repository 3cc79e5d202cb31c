#include "raft/detail/host/raft_log.h"
#include "base/probe.h"

#include <fmt/format.h>

#include "base/check.h"
#include "base/mutant.h"
#include "runtime/scope.h"
#include "wire/codec.h"

namespace claudefs::raft {

CFS_DEFINE_MUTANT(raft_scrub_keeps_log_file, "raft: a damaged file of the log is kept");

namespace {

constexpr u32 kMagic = 0x54464152;  // "RAFT"
constexpr std::size_t kRecordBytesMost = 4_MiB;
constexpr std::size_t kHeadBytes = 16_KiB;  // groups' starts and hard states in one record
constexpr std::size_t kRecordsAtOnce = 8;

// Records of bounded size, entries of one group in order. A group may be split over several.
std::vector<LogBatch> split(std::vector<GroupRecord> records, std::size_t bytes_max) {
  std::vector<LogBatch> batches(1);
  std::size_t bytes = 0;
  for (GroupRecord& record : records) {
    if (bytes > bytes_max) {
      batches.emplace_back();
      bytes = 0;
    }
    GroupRecord part;
    part.group = record.group;
    part.hard_state = record.hard_state;
    part.start = std::move(record.start);
    bytes += 256;
    for (Entry& entry : record.entries) {
      if (bytes + entry.bytes() > bytes_max && bytes > 256) {
        batches.back().groups.push_back(std::move(part));
        batches.emplace_back();
        bytes = 256;
        part = GroupRecord{};
        part.group = record.group;
      }
      bytes += entry.bytes();
      part.entries.push_back(std::move(entry));
    }
    batches.back().groups.push_back(std::move(part));
  }
  return batches;
}

}  // namespace

runtime::Task<Result<std::unique_ptr<RaftLog>>> RaftLog::open(runtime::Env& env, std::string directory,
                                                              Options options) {
  std::unique_ptr<RaftLog> self(new RaftLog(env, options));
  store::Replay replay;
  replay.record = [at = self.get()](store::LogPosition position, const Buffer& content) {
    at->replay(position, content);
  };
  replay.damaged = [at = self.get()](store::LogPosition position, std::string why) {
    at->damaged(position, why);
  };
  store::LogOptions log_options;
  log_options.file_bytes = options.file_bytes;
  log_options.record_bytes_max = self->record_bytes() + options.entry_bytes_max + kHeadBytes;
  self->log_ = co_await store::Log::open(env, std::move(directory), kMagic, log_options, std::move(replay));
  if (self->replay_error_) co_return fail(*self->replay_error_);
  for (const auto& [id, group] : self->groups_)
    if (group.awaits_start && self->damage_.empty())
      self->damage_ = fmt::format("group {} lacks entries up to {}", id, group.log.start());
  self->drop_headless();
  if (self->oldest_file_ == UINT32_MAX) self->oldest_file_ = self->log_->current_file();
  co_return std::move(self);
}

std::size_t RaftLog::record_bytes() const {
  return std::min<std::size_t>(kRecordBytesMost, std::max<std::size_t>(kHeadBytes, options_.file_bytes / 4));
}

void RaftLog::replay(store::LogPosition position, const Buffer& content) {
  oldest_file_ = std::min(oldest_file_, position.file);
  Result<LogBatch> batch = wire::decode<LogBatch>(content);
  if (!batch) {
    if (batch.error().code != Errc::wrong_version) return damaged(position, batch.error().text);
    if (!replay_error_) replay_error_ = batch.error();
    return;
  }
  if (batch->resumes) {
    drop_headless();
    CFS_PROBE(raft_host_log_resumed, "a log goes on behind damage");
    damage_.clear();
  }
  if (!damage_.empty()) return;
  for (const GroupRecord& record : batch->groups) {
    bridge_gap(groups_[record.group], record);
    note(record, position);
  }
}

// A file is removed once a start that covers its entries is durable, in a later file. So a replay may meet
// entries whose predecessors are gone before it meets that start.
void RaftLog::bridge_gap(Group& group, const GroupRecord& record) {
  if (record.entries.empty()) return;
  const LogIndex before{record.entries.front().index.value - 1};
  const LogIndex start = record.start ? std::max(record.start->index, group.log.start()) : group.log.start();
  const LogIndex last = record.start ? std::max(record.start->index, group.log.last()) : group.log.last();
  const bool gap = before > last || (group.awaits_start && before < start);
  if (!gap) return;
  group.log = EntryLog(before, Term{});
  group.spans.clear();
  group.awaits_start = true;
}

// From here on nothing can be trusted to be complete: the log is taken as it was before, until a record says
// that the node went on from there.
void RaftLog::damaged(store::LogPosition position, const std::string& why) {
  oldest_file_ = std::min(oldest_file_, position.file);
  if (damage_.empty()) damage_ = fmt::format("file {} at {}: {}", position.file, position.offset, why);
}

// Groups whose beginning is missing have nothing.
void RaftLog::drop_headless() {
  if (damage_.empty()) return;
  std::erase_if(groups_, [](const auto& group) { return group.second.awaits_start; });
}

runtime::Task<Result<void>> RaftLog::resume() {
  LogBatch batch;
  batch.resumes = true;
  std::vector<Buffer> content;
  content.push_back(wire::encode(batch));
  co_await log_->append(std::move(content));
  damage_.clear();
  co_return Result<void>{};
}

void RaftLog::note(const GroupRecord& record, store::LogPosition position) {
  Group& group = groups_[record.group];
  if (record.hard_state) {
    group.hard_state = *record.hard_state;
    group.hard_file = position.file;
  }
  if (record.start) note_start(group, *record.start, position);
  if (!record.entries.empty()) note_entries(group, record.entries, position);
}

void RaftLog::note_start(Group& group, const LogStart& start, store::LogPosition position) {
  group.start = start;
  group.start_file = position.file;
  if (group.awaits_start && start.index < group.log.start()) return;
  if (group.awaits_start && start.index == group.log.start()) group.log.set_start_term(start.term);
  group.awaits_start = false;
  if (!group.log.matches(start.index, start.term)) group.spans.clear();
  group.log.restart_at(start.index, start.term);
  while (!group.spans.empty() && group.spans.front().last <= start.index) group.spans.pop_front();
  std::erase_if(group.changes, [&](const auto& change) {
    return change.first <= start.index || change.first > group.log.last();
  });
}

void RaftLog::note_entries(Group& group, const std::vector<Entry>& entries, store::LogPosition position) {
  const LogIndex first = entries.front().index;
  CFS_CHECK(first > group.log.start());
  if (first <= group.log.last()) {
    group.log.truncate_from(first);
    group.changes.erase(group.changes.lower_bound(first), group.changes.end());
    while (!group.spans.empty() && group.spans.back().first >= first) group.spans.pop_back();
    if (!group.spans.empty()) group.spans.back().last = std::min(group.spans.back().last, group.log.last());
  }
  for (const Entry& entry : entries) {
    group.log.append_evicted(entry.index, entry.term);
    if (entry.kind != EntryKind::configuration) continue;
    if (Result<Configuration> change = wire::decode<Configuration>(entry.data))
      group.changes[entry.index] = std::move(*change);
  }
  group.spans.push_back(Span{first, entries.back().index, position});
}

std::optional<RaftLog::Found> RaftLog::find(ShardId group) const {
  auto it = groups_.find(group);
  if (it == groups_.end()) return std::nullopt;
  return Found{it->second.hard_state, it->second.start, it->second.log, it->second.changes};
}

std::vector<ShardId> RaftLog::groups() const {
  std::vector<ShardId> ids;
  for (const auto& [id, group] : groups_) ids.push_back(id);
  return ids;
}

runtime::Task<Result<void>> RaftLog::append(std::vector<GroupRecord> records) {
  const std::vector<LogBatch> batches = split(std::move(records), record_bytes());
  // A window of records flushes together; a giant batch does not run into the log's queue limit.
  for (std::size_t done = 0; done < batches.size();) {
    const std::size_t end = std::min(batches.size(), done + kRecordsAtOnce);
    std::vector<runtime::Task<Result<store::LogPosition>>> writes;
    for (std::size_t i = done; i < end; ++i) {
      std::vector<Buffer> content;
      content.push_back(wire::encode(batches[i]));
      writes.push_back(log_->append(std::move(content)));
    }
    auto positions = co_await runtime::join_all(env_.executor(), std::move(writes));
    for (auto& position : positions) {
      if (!position) co_return fail(position.error());
      for (const GroupRecord& record : batches[done].groups) note(record, *position);
      ++done;
    }
  }
  co_return Result<void>{};
}

runtime::Task<Result<std::vector<Entry>>> RaftLog::read(ShardId id, LogIndex from, LogIndex to,
                                                        std::size_t bytes_max) {
  std::vector<Entry> out;
  std::size_t bytes = 0;
  while (from <= to && bytes < bytes_max) {
    const Group& group = groups_[id];
    auto span = std::upper_bound(group.spans.begin(), group.spans.end(), from,
                                 [](LogIndex at, const Span& s) { return at < s.first; });
    if (span == group.spans.begin() || from > std::prev(span)->last) break;
    const LogIndex last = std::min(to, std::prev(span)->last);
    Result<Buffer> content = co_await log_->read(std::prev(span)->position).result();
    if (!content) co_return fail(std::move(content.error()));
    LogBatch batch = co_await wire::decode<LogBatch>(*content);
    const LogIndex before = from;
    for (GroupRecord& record : batch.groups) {
      if (record.group != id) continue;
      for (Entry& entry : record.entries) {
        if (entry.index != from || entry.index > last || (bytes > 0 && bytes >= bytes_max)) continue;
        bytes += entry.bytes();
        out.push_back(std::move(entry));
        ++from;
      }
    }
    if (before == from) break;
  }
  if (out.empty())
    co_return fail(Errc::not_found, fmt::format("raft log: group {} has no entry {}", id, from));
  co_return std::move(out);
}

u32 RaftLog::keep_from_file() const {
  const u32 keep = static_cast<u32>(std::max<u64>(1, options_.keep_bytes / options_.file_bytes));
  const u32 current = log_->current_file();
  const u32 wanted = current > keep ? current - keep : 0;
  return std::max(wanted, std::min(keep_none_below_, current));
}

// What is damaged is of use to nobody who restarts or lags: its entries go once the state machines have them
// durable, and hard states and starts are written again.
runtime::Task<Result<void>> RaftLog::verify(u32 file) {
  const Result<void> checked = co_await log_->verify(file).result();
  if (checked || checked.error().code != Errc::corrupt || CFS_MUTANT(raft_scrub_keeps_log_file))
    co_return checked;
  if (file == log_->current_file()) log_->roll();
  keep_none_below_ = std::max(keep_none_below_, file + 1);
  co_return checked;
}

LogIndex RaftLog::last_beyond_keep(ShardId id) const {
  auto it = groups_.find(id);
  LogIndex last{};
  if (it == groups_.end()) return last;
  const u32 keep = keep_from_file();
  for (const Span& span : it->second.spans) {
    if (span.position.file >= keep) break;
    last = span.last;
  }
  return last;
}

bool RaftLog::has_entries_in(u32 file) const {
  for (const auto& [id, group] : groups_)
    if (!group.spans.empty() && group.spans.front().position.file <= file) return true;
  return false;
}

std::vector<GroupRecord> RaftLog::others_in(u32 file) const {
  std::vector<GroupRecord> records;
  for (const auto& [id, group] : groups_) {
    const bool hard = group.hard_file <= file && group.hard_state != HardState{};
    const bool start = group.start_file <= file && group.start.index.value != 0;
    if (!hard && !start) continue;
    GroupRecord record;
    record.group = id;
    record.hard_state = group.hard_state;
    if (group.start.index.value != 0) record.start = group.start;
    records.push_back(std::move(record));
  }
  return records;
}

runtime::Task<Result<void>> RaftLog::collect() {
  while (oldest_file_ < keep_from_file() && !has_entries_in(oldest_file_)) {
    std::vector<GroupRecord> forward = others_in(oldest_file_);
    if (!forward.empty()) co_await append(std::move(forward));
    co_await log_->remove_file(oldest_file_);
    ++oldest_file_;
  }
  co_return Result<void>{};
}

}  // namespace claudefs::raft
