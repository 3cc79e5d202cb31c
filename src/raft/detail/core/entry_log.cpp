#include "raft/entry_log.h"

#include "base/check.h"

namespace claudefs::raft {

std::optional<Term> EntryLog::term_at(LogIndex index) const {
  if (index == start_) return start_term_;
  if (index < start_ || index > last_) return std::nullopt;
  auto after = std::upper_bound(runs_.begin(), runs_.end(), index,
                                [](LogIndex at, const Run& run) { return at < run.first; });
  return std::prev(after)->term;
}

LogIndex EntryLog::last_not_above(LogIndex index, Term term) const {
  LogIndex end = last_;
  for (auto run = runs_.rbegin(); run != runs_.rend(); ++run) {
    if (run->first <= index && run->term <= term) return std::min(index, end);
    end = LogIndex{run->first.value - 1};
  }
  if (start_term_ <= term || start_.value == 0) return start_;
  return LogIndex{start_.value - 1};  // not here any more
}

bool EntryLog::is_newer_or_equal(LogIndex index, Term term) const {
  return term > last_term() || (term == last_term() && index >= last_);
}

void EntryLog::append(Entry entry) {
  CFS_CHECK(entry.index.value == last_.value + 1 && entry.term >= last_term());
  if (runs_.empty() || runs_.back().term != entry.term) runs_.push_back({entry.index, entry.term});
  last_ = entry.index;
  cached_bytes_ += entry.bytes();
  cache_.push_back(std::move(entry));
}

void EntryLog::append_evicted(LogIndex index, Term term) {
  CFS_CHECK(index.value == last_.value + 1 && cache_.empty());
  if (runs_.empty() || runs_.back().term != term) runs_.push_back({index, term});
  last_ = index;
  persisted_ = index;
}

void EntryLog::truncate_from(LogIndex index) {
  CFS_CHECK(index > start_);
  while (!cache_.empty() && cache_.back().index >= index) {
    cached_bytes_ -= cache_.back().bytes();
    cache_.pop_back();
  }
  while (!runs_.empty() && runs_.back().first >= index) runs_.pop_back();
  last_ = std::min(last_, LogIndex{index.value - 1});
  persisted_ = std::min(persisted_, last_);
}

void EntryLog::restart_at(LogIndex index, Term term) {
  if (!matches(index, term)) {
    *this = EntryLog(index, term);
    return;
  }
  while (!cache_.empty() && cache_.front().index <= index) pop_oldest();
  auto after = std::upper_bound(runs_.begin(), runs_.end(), LogIndex{index.value + 1},
                                [](LogIndex at, const Run& run) { return at < run.first; });
  if (after != runs_.begin()) {
    // The run that holds index + 1 stays, cut to begin there; it may be empty when the log ends at index.
    auto keep = std::prev(after);
    keep->first = LogIndex{index.value + 1};
    runs_.erase(runs_.begin(), keep);
    if (index == last_) runs_.clear();
  }
  start_ = index;
  start_term_ = term;
  persisted_ = std::max(persisted_, index);
}

std::vector<Entry> EntryLog::slice(LogIndex from, LogIndex to, std::size_t bytes_max) const {
  std::vector<Entry> out;
  if (!is_cached(from)) return out;
  std::size_t bytes = 0;
  for (std::size_t i = from.value - cache_first(); i < cache_.size() && cache_[i].index <= to; ++i) {
    bytes += cache_[i].bytes();
    if (!out.empty() && bytes > bytes_max) break;
    out.push_back(cache_[i]);
  }
  return out;
}

void EntryLog::evict(LogIndex up_to, std::size_t bytes_max) {
  while (cached_bytes_ > bytes_max && !cache_.empty() && cache_.front().index <= up_to) pop_oldest();
}

void EntryLog::pop_oldest() {
  cached_bytes_ -= cache_.front().bytes();
  cache_.pop_front();
}

}  // namespace claudefs::raft
