// What a read of a file may return. Content describes itself: each aligned 8-byte word names the write that
// put it there and its own place, so that any word tells its writer; a zero word is a hole or a truncation.
//
// The promise judged is one file system on all clients: a write that was answered before a read or a stat is
// called must be seen by it, wherever both are, unless a write that is not ordered before it covers it. What
// was not synced (fsync, flush, close) when its client died or lost its session is gone or not. Nothing else
// may ever be seen. That a session was lost is known late: what would be wrong unless it was is a suspicion,
// judged again at the end.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/ids.h"
#include "runtime/executor.h"

namespace claudefs::simulator {

using runtime::Instant;

// A client process: a client's number and which life of it.
struct Process {
  u32 client = 0;
  u64 life = 0;
  auto operator<=>(const Process&) const = default;
};

class ContentOracle {
 public:
  // The bytes of write `number` at [offset, offset + length), both multiples of 8. `number` is below 2^24.
  // Equal numbers give equal bytes at equal offsets, in whatever file: what deduplication finds.
  static Buffer bytes_of(u64 number, u64 offset, u64 length);
  // The number of the write that put this word there.
  static u64 writer_of(u64 word);

  // A write, truncation (zeros from `begin` on: number 0) or hole. Gives the event's id.
  u64 called(InodeId file, u64 number, u64 begin, u64 end, Process by, Instant at);
  void answered(u64 event, Instant at);
  // A sync of `file` by `by` that was called at `called` has succeeded: what was answered before is stable.
  void synced(InodeId file, Process by, Instant called, Instant at);
  void stable(u64 event, Instant at);  // a truncation: durable when answered
  // A sync or write of `file` by `by` failed: what of it is not stable may be gone, for itself too.
  void failed(InodeId file, Process by);
  // It died, or lost a session: what it had not synced, of any file, may be gone.
  void lost(Process by);

  struct Read {
    InodeId file{};
    u64 offset = 0;
    u64 length = 0;  // that was asked; what is missing at the end counts as zeros
    Process by;
    Instant called, answered;
  };
  // A text that explains the violation.
  std::optional<std::string> judge(const Read& read, const Buffer& got);
  // Of a stat: offset and length are not used.
  std::optional<std::string> judge_size(const Read& stat, u64 size);
  // Once it is known who died and lost sessions.
  std::optional<std::string> judge_suspicions();
  u64 extent_of(InodeId file) const;  // largest end of any write: how far an audit reads
  std::size_t files() const { return files_.size(); }
  std::vector<InodeId> known_files() const;
  void forget(InodeId file) { files_.erase(file); }

 private:
  struct Event {
    u64 order = 0;  // of the calls: many have one instant
    u64 number = 0;
    u64 begin = 0, end = 0;
    Process by;
    Instant called;
    Instant answered = Instant::never();
    Instant stable = Instant::never();
    bool may_be_gone = false;
  };
  struct Suspicion {
    Read read;
    Buffer got;
    std::optional<u64> size;  // of a stat
  };
  enum class Certainty : u8 { synced_only, all };
  static bool precedes(const Event& a, const Event& b);
  static bool must_be_seen(const Event& event, const Read& read, Certainty certainty);
  // Why may the word at `offset` not read as write `number`'s? Nothing when it may.
  std::optional<std::string> objection(const std::vector<const Event*>& near, const Read& read, u64 offset,
                                       u64 number, Certainty certainty) const;
  std::optional<std::string> wrong_content(const Read& read, const Buffer& got, Certainty certainty) const;
  std::optional<std::string> wrong_size(const Read& stat, u64 size, Certainty certainty) const;

  std::map<InodeId, std::vector<Event>> files_;
  std::map<u64, std::pair<InodeId, std::size_t>> events_;
  u64 last_event_ = 0;
  std::vector<Suspicion> suspicions_;
};

}  // namespace claudefs::simulator
