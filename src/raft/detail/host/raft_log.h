// All groups' entries, hard states and starts in one store::Log (docs/formats/raft-log.md).
// Only the host's persist loop appends and collects: one append at a time, so that records have one order.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "raft/entry_log.h"
#include "store/log.h"

namespace claudefs::raft {

// What one group adds. The start comes first, then the entries, which replace all from their first index on.
struct GroupRecord {
  ShardId group{};
  std::optional<HardState> hard_state;
  std::optional<LogStart> start;
  std::vector<Entry> entries;
  static auto fields(auto& self) { return std::tie(self.group, self.hard_state, self.start, self.entries); }
};
struct LogBatch {
  std::vector<GroupRecord> groups;
  // Damage was found when the log was opened: what lies between it and this record does not count.
  bool resumes = false;
  static auto fields(auto& self) { return std::tie(self.groups, self.resumes); }
};

class RaftLog {
 public:
  struct Options {
    u64 file_bytes = 32u << 20;
    u64 keep_bytes = 64u << 20;
    std::size_t entry_bytes_max = 4u << 20;  // must not shrink while the log holds longer ones
  };
  struct Found {
    HardState hard_state;
    LogStart start;
    EntryLog log;
    std::map<LogIndex, Configuration> changes;  // by entries of the log
  };
  static runtime::Task<Result<std::unique_ptr<RaftLog>>> open(runtime::Env& env, std::string directory,
                                                              Options options);
  // What the log knows of a group; empty when nothing.
  std::optional<Found> find(ShardId group) const;
  std::vector<ShardId> groups() const;
  // Why records are missing in the middle; empty: none are. Then the log is as it was before them: votes and
  // acknowledged entries of any group may be forgotten. Call resume() before anything is appended.
  const std::string& damage() const { return damage_; }
  runtime::Task<Result<void>> resume();
  runtime::Task<Result<void>> append(std::vector<GroupRecord> records);
  // Entries from `from` to at most `to`, at least one, about `bytes_max` bytes.
  runtime::Task<Result<std::vector<Entry>>> read(ShardId group, LogIndex from, LogIndex to,
                                                 std::size_t bytes_max);
  // The group's last entry in files that are older than what is kept; 0 when there is none.
  LogIndex last_beyond_keep(ShardId group) const;
  // Removes files without live entries, after writing forward what else lives in them.
  runtime::Task<Result<void>> collect();
  // Its files, and one of them read whole. Errors: corrupt (it goes as soon as nothing needs it: collect()),
  // not_found, io_error.
  std::vector<store::LogFileInfo> files() const { return log_->files(); }
  runtime::Task<Result<void>> verify(u32 file);
  u32 oldest_file() const { return oldest_file_; }
  u32 current_file() const { return log_->current_file(); }
  u64 disk_bytes() const { return log_->disk_bytes(); }
  runtime::Task<void> stop() { return log_->stop(); }

 private:
  struct Span {
    LogIndex first, last;
    store::LogPosition position;
  };
  struct Group {
    HardState hard_state;
    LogStart start;
    u32 hard_file = 0;
    u32 start_file = 0;
    EntryLog log;  // terms only
    std::map<LogIndex, Configuration> changes;
    // Replay: the entries before log.start() went with a removed file; the start that says so is still to
    // come.
    bool awaits_start = false;
    std::deque<Span> spans;
  };
  RaftLog(runtime::Env& env, Options options) : env_(env), options_(options) {}
  void replay(store::LogPosition position, const Buffer& content);
  void bridge_gap(Group& group, const GroupRecord& record);
  void damaged(store::LogPosition position, const std::string& why);
  void drop_headless();
  void note(const GroupRecord& record, store::LogPosition position);
  void note_start(Group& group, const LogStart& start, store::LogPosition position);
  void note_entries(Group& group, const std::vector<Entry>& entries, store::LogPosition position);
  u32 keep_from_file() const;
  bool has_entries_in(u32 file) const;
  std::vector<GroupRecord> others_in(u32 file) const;

  std::size_t record_bytes() const;

  runtime::Env& env_;
  const Options options_;
  std::unique_ptr<store::Log> log_;
  std::map<ShardId, Group> groups_;
  u32 oldest_file_ = UINT32_MAX;
  u32 keep_none_below_ = 0;  // files that are damaged, and older ones
  std::optional<Error> replay_error_;
  std::string damage_;
};

}  // namespace claudefs::raft
