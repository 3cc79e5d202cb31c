// One group's log as the core sees it: the term of every entry after the start, and the newest entries
// themselves. Older entries may be evicted from memory; the host reads those from disk.
#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "raft/types.h"

namespace claudefs::raft {

class EntryLog {
 public:
  EntryLog() = default;
  EntryLog(LogIndex start, Term start_term)
      : start_(start), start_term_(start_term), last_(start), persisted_(start) {}

  LogIndex start() const { return start_; }  // the last entry that is gone
  Term start_term() const { return start_term_; }
  LogIndex last() const { return last_; }
  Term last_term() const { return runs_.empty() ? start_term_ : runs_.back().term; }
  LogIndex persisted() const { return persisted_; }
  std::size_t cached_bytes() const { return cached_bytes_; }
  // Empty outside [start, last].
  std::optional<Term> term_at(LogIndex index) const;
  bool matches(LogIndex index, Term term) const { return term_at(index) == term; }
  // The last entry at or before `index` whose term is at most `term`. Below start() when that is forgotten.
  LogIndex last_not_above(LogIndex index, Term term) const;
  // Is an entry with these at least as new as our last? (paper, section 5.4.1)
  bool is_newer_or_equal(LogIndex index, Term term) const;

  // Requires entry.index == last() + 1.
  void append(Entry entry);
  // Recovery: an entry that stays on disk only.
  void append_evicted(LogIndex index, Term term);
  void truncate_from(LogIndex index);
  // Forgets entries at and below `index` if the log has (index, term) and the whole log otherwise.
  void restart_at(LogIndex index, Term term);
  void set_start_term(Term term) { start_term_ = term; }  // recovery: it became known later than the entries
  void set_persisted(LogIndex index) { persisted_ = std::min(index, last_); }

  // Entries from `from` on, at least one, at most about `bytes_max`. Empty when `from` is beyond the end or
  // no longer in memory: see is_cached.
  std::vector<Entry> slice(LogIndex from, LogIndex to, std::size_t bytes_max) const;
  bool is_cached(LogIndex index) const { return index.value >= cache_first() && index <= last_; }
  // Drops the oldest entries from memory down to `bytes_max`, none above `up_to`.
  void evict(LogIndex up_to, std::size_t bytes_max);

 private:
  struct Run {
    LogIndex first;
    Term term;
  };
  u64 cache_first() const { return last_.value + 1 - cache_.size(); }
  void pop_oldest();

  LogIndex start_{};
  Term start_term_{};
  LogIndex last_{};
  LogIndex persisted_{};
  std::vector<Run> runs_;
  std::deque<Entry> cache_;  // a suffix of the log
  std::size_t cached_bytes_ = 0;
};

}  // namespace claudefs::raft
