// What a journal holds and where: built by its records, in log order. Pure: no I/O.
//
// Knows which log files are dead. A file may go when no live byte lies in it and nothing in it is still
// needed to hold down older files: a drop counts while an older file mentions the segment (else a replay
// would bring the segment back), a close counts while its segment lives.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "store/journal.h"
#include "store/log.h"

namespace claudefs::store::detail {

struct JournalExtent {
  u32 length = 0;
  LogPosition record;
  u32 skip = 0;  // bytes of the record's content before the extent's first
  bool operator==(const JournalExtent&) const = default;
};
struct JournalPiece {
  u32 offset = 0;  // in the segment
  JournalExtent extent;
};

class JournalIndex {
 public:
  void append(SegmentId segment, u32 offset, JournalExtent extent, runtime::Instant now);
  void close(SegmentId segment, u32 file);
  void drop(SegmentId segment, u32 file);
  // Refuses later appends without a record: drops of unknown segments, drops under way.
  void refuse(SegmentId segment);

  bool knows(SegmentId segment) const { return segments_.contains(segment); }
  bool is_closed(SegmentId segment) const;
  bool is_dropped(SegmentId segment) const { return dropped_.contains(segment); }
  OpenSegment describe(SegmentId segment) const;
  std::vector<OpenSegment> segments() const;
  // The parts that make up the range, in order; empty when a byte of it is not held.
  std::optional<std::vector<JournalPiece>> find(SegmentId segment, u32 offset, u32 length) const;
  // The extent that begins at `offset` is still this one.
  bool holds(SegmentId segment, u32 offset, const JournalExtent& extent) const;

  u64 live_bytes() const { return live_bytes_; }
  u64 live_bytes_in(u32 file) const;
  std::vector<u32> files() const;
  bool is_dead(u32 file) const;
  void forget_file(u32 file);
  void know_file(u32 file) { files_[file]; }  // also one of which no record could be read
  // What must be written again before `file` can go.
  std::vector<std::pair<SegmentId, JournalPiece>> live_in(u32 file) const;
  std::vector<SegmentId> closed_in(u32 file) const;

 private:
  struct Segment {
    std::map<u32, JournalExtent> extents;  // by offset, disjoint
    std::optional<u32> closed_in;          // file of its last close record
    runtime::Instant last_append{};
  };
  struct File {
    u64 live_bytes = 0;
    std::set<SegmentId> mentions;  // appended to or closed
    std::set<SegmentId> drops;
  };
  void cut_out(Segment& segment, u32 from, u32 to);
  void put(Segment& segment, u32 offset, const JournalExtent& extent);
  void take(const JournalExtent& extent);

  std::map<SegmentId, Segment> segments_;
  std::map<u32, File> files_;
  std::set<SegmentId> dropped_;
  std::deque<SegmentId> forgettable_;  // dropped, and no file needs to say so any more
  u64 live_bytes_ = 0;
};

}  // namespace claudefs::store::detail
