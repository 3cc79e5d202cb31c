#include "simulator/content_oracle.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace claudefs::simulator {
namespace {

constexpr u64 kWord = 8;
constexpr u64 kNumberBits = 24;
constexpr u64 kOffsetBits = 32;  // in words
constexpr u64 kMark = 0xc5;      // never zero: the top byte

u64 word_of(u64 number, u64 offset) {
  return (kMark << 56) | (number << kOffsetBits) | ((offset / kWord) & ((u64{1} << kOffsetBits) - 1));
}

}  // namespace

Buffer ContentOracle::bytes_of(u64 number, u64 offset, u64 length) {
  Buffer out = Buffer::allocate(length);
  for (u64 at = 0; at < length; at += kWord) {
    const u64 word = word_of(number, offset + at);
    std::memcpy(out.data() + at, &word, kWord);
  }
  return out;
}

u64 ContentOracle::writer_of(u64 word) { return (word >> kOffsetBits) & ((u64{1} << kNumberBits) - 1); }

u64 ContentOracle::called(InodeId file, u64 number, u64 begin, u64 end, Process by, Instant at) {
  std::vector<Event>& events = files_[file];
  Event event;
  event.number = number;
  event.begin = begin;
  event.end = end;
  event.by = by;
  event.called = at;
  events_[++last_event_] = {file, events.size()};
  event.order = last_event_;
  events.push_back(event);
  return last_event_;
}

void ContentOracle::answered(u64 event, Instant at) {
  const auto [file, index] = events_.at(event);
  files_.at(file).at(index).answered = at;
}
void ContentOracle::stable(u64 event, Instant at) {
  const auto [file, index] = events_.at(event);
  Event& found = files_.at(file).at(index);
  found.answered = found.stable = at;
}
void ContentOracle::synced(InodeId file, Process by, Instant called, Instant at) {
  const auto events = files_.find(file);
  if (events == files_.end()) return;
  for (Event& event : events->second)
    if (event.by == by && event.answered <= called && !event.may_be_gone)
      event.stable = std::min(event.stable, at);
}
void ContentOracle::failed(InodeId file, Process by) {
  const auto events = files_.find(file);
  if (events == files_.end()) return;
  for (Event& event : events->second)
    if (event.by == by && event.stable == Instant::never()) event.may_be_gone = true;
}

void ContentOracle::lost(Process by) {
  for (auto& [file, events] : files_)
    for (Event& event : events)
      if (event.by == by && event.stable == Instant::never()) event.may_be_gone = true;
}

u64 ContentOracle::extent_of(InodeId file) const {
  u64 end = 0;
  const auto events = files_.find(file);
  if (events == files_.end()) return 0;
  for (const Event& event : events->second)
    if (event.number != 0) end = std::max(end, event.end);
  return end;
}
std::vector<InodeId> ContentOracle::known_files() const {
  std::vector<InodeId> out;
  for (const auto& [file, events] : files_) out.push_back(file);
  return out;
}

// In every order that clients can have seen, `a` is before `b`.
bool ContentOracle::precedes(const Event& a, const Event& b) {
  return a.order < b.order && a.answered <= b.called;
}

bool ContentOracle::must_be_seen(const Event& event, const Read& read, Certainty certainty) {
  if (event.stable <= read.called) return true;
  return certainty == Certainty::all && event.answered <= read.called && !event.may_be_gone;
}

std::optional<std::string> ContentOracle::objection(const std::vector<const Event*>& near, const Read& read,
                                                    u64 offset, u64 number, Certainty certainty) const {
  const auto covers = [&](const Event& event) { return event.begin < offset + kWord && offset < event.end; };
  // What may have put it there: any event of that number; the hole that every file begins as.
  std::vector<const Event*> sources;
  for (const Event* event : near)
    if (event->number == number && covers(*event) && event->called <= read.answered) sources.push_back(event);
  if (number == 0) sources.push_back(nullptr);
  if (sources.empty()) return fmt::format("write {} was never made there before the read ended", number);
  const Event* newer = nullptr;
  for (const Event* source : sources) {
    newer = nullptr;
    for (const Event* event : near)
      if (event != source && covers(*event) && must_be_seen(*event, read, certainty) &&
          (source == nullptr || precedes(*source, *event)))
        newer = event;
    if (newer == nullptr) return std::nullopt;
  }
  return fmt::format(
      "write {} of client {} life {} came after it (called {} ns, answered {} ns, stable {} ns)",
      newer->number, newer->by.client, newer->by.life, newer->called.ns, newer->answered.ns,
      newer->stable.ns);
}

std::optional<std::string> ContentOracle::judge(const Read& read, const Buffer& got) {
  if (auto wrong = wrong_content(read, got, Certainty::synced_only)) return wrong;
  if (wrong_content(read, got, Certainty::all)) suspicions_.push_back({read, got, std::nullopt});
  return std::nullopt;
}

std::optional<std::string> ContentOracle::judge_size(const Read& stat, u64 size) {
  if (auto wrong = wrong_size(stat, size, Certainty::synced_only)) return wrong;
  if (wrong_size(stat, size, Certainty::all)) suspicions_.push_back({stat, {}, size});
  return std::nullopt;
}

std::optional<std::string> ContentOracle::judge_suspicions() {
  for (const Suspicion& one : std::exchange(suspicions_, {})) {
    auto wrong = one.size ? wrong_size(one.read, *one.size, Certainty::all)
                          : wrong_content(one.read, one.got, Certainty::all);
    if (wrong) return wrong;
  }
  return std::nullopt;
}

std::optional<std::string> ContentOracle::wrong_size(const Read& stat, u64 size, Certainty certainty) const {
  const auto events = files_.find(stat.file);
  if (events == files_.end()) return std::nullopt;
  const auto truncates = [](const Event& event) { return event.number == 0 && event.end == ~u64{0}; };
  u64 most = 0;
  for (const Event& event : events->second) {
    if (event.called > stat.answered) continue;
    if (truncates(event))
      most = std::max(most, event.begin);
    else if (event.number != 0)
      most = std::max(most, event.end);
    if (event.number == 0 || event.end <= size || !must_be_seen(event, stat, certainty)) continue;
    const bool cut = std::ranges::any_of(events->second, [&](const Event& other) {
      return truncates(other) && other.begin < event.end && other.called <= stat.answered &&
             !precedes(other, event);
    });
    if (!cut)
      return fmt::format(
          "file {:#x}: a stat by client {} life {} (called {} ns, answered {} ns) shows {} bytes, but write "
          "{} of "
          "client {} life {} to [{}, {}) was answered at {} ns",
          stat.file, stat.by.client, stat.by.life, stat.called.ns, stat.answered.ns, size, event.number,
          event.by.client, event.by.life, event.begin, event.end, event.answered.ns);
  }
  if (size > most)
    return fmt::format("file {:#x}: a stat by client {} shows {} bytes, though nothing reaches beyond {}",
                       stat.file, stat.by.client, size, most);
  return std::nullopt;
}

std::optional<std::string> ContentOracle::wrong_content(const Read& read, const Buffer& got,
                                                        Certainty certainty) const {
  const auto events = files_.find(read.file);
  std::vector<const Event*> near;
  if (events != files_.end())
    for (const Event& event : events->second)
      if (event.begin < read.offset + read.length && read.offset < event.end) near.push_back(&event);
  // A word's answer depends on its number and on which events cover it: judged once a run of equal ones.
  std::vector<u64> edges;
  for (const Event* event : near) {
    edges.push_back(event->begin);
    edges.push_back(event->end);
  }
  std::sort(edges.begin(), edges.end());
  u64 judged_number = ~u64{0};
  std::size_t judged_edge = ~std::size_t{0};
  std::size_t edge = 0;
  const u64 end = read.offset + read.length;
  for (u64 offset = read.offset; offset < end; offset += kWord) {
    while (edge < edges.size() && edges[edge] <= offset) ++edge;
    const u64 at = offset - read.offset;
    u64 word = 0;
    if (at < got.size()) std::memcpy(&word, got.data() + at, std::min<u64>(kWord, got.size() - at));
    // Of an unsynced write of a client that died any prefix may be there: the file then ends within a word.
    // What must be seen there is missed as if it read as zeros.
    const u64 mark = word_of(0, offset);
    if (at < got.size() && at + kWord > got.size() &&
        std::memcmp(&word, &mark, std::min<u64>(kOffsetBits / 8, got.size() - at)) == 0)
      word = 0;
    const u64 number = writer_of(word);
    if (word != 0 && (at + kWord > got.size() || word != word_of(number, offset) || number == 0))
      return fmt::format("file {:#x} offset {}: bytes that nobody wrote there: {:#018x}", read.file, offset,
                         word);
    if (number == judged_number && edge == judged_edge) continue;
    if (const auto why = objection(near, read, offset, number, certainty))
      return fmt::format(
          "file {:#x} offset {}: read {} by client {} life {} (called {} ns, answered {} ns), "
          "but {}",
          read.file, offset, number == 0 ? std::string("zeros") : fmt::format("write {}", number),
          read.by.client, read.by.life, read.called.ns, read.answered.ns, *why);
    judged_number = number;
    judged_edge = edge;
  }
  return std::nullopt;
}

}  // namespace claudefs::simulator
