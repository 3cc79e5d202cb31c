// What a shard's leader knows of its segments: how much of what form lies on whom, and which copies are lost.
// Pure memory; rebuilt by each pass over the segment table.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "data/detail/segment_reader.h"
#include "data/operations.h"

namespace claudefs::data {

// Segments that lie alike, added up.
class Survey {
 public:
  void add(const SegmentRecord& record);
  // Adds its figures, judged by who is up.
  void judge(const StorageSummary& op, StorageSummaryReply& reply) const;

 private:
  struct Form {
    SegmentState state = SegmentState::open;
    bool live = true;  // something refers to it
    Layout layout;
    std::vector<NodeId> holders;  // sorted
    auto operator<=>(const Form&) const = default;
  };
  struct Sums {
    u64 segments = 0, bytes = 0, raw = 0, live_bytes = 0, dead_bytes = 0;
  };
  std::map<Form, Sums> sums_;
};

// Shards that their holders, though up, do not have or have damaged.
class Losses {
 public:
  struct Loss {
    u32 generation = 0;
    u32 length = 0;
    Layout layout;
    std::vector<NodeId> holders;  // by place
    ShardMask lost = 0;
    ShardMask lies = 0;  // part of `lost`: the holder does not know
  };
  // What was found of a segment now; nothing lost forgets it.
  void set(const SegmentRecord& record, ShardMask lost, ShardMask lies);
  ShardMask lost(const SegmentRecord& record) const;
  ShardMask lies(const SegmentRecord& record) const;
  void forget(SegmentId segment) { losses_.erase(segment); }
  // Moves the bytes concerned to where they belong in what a Survey has judged.
  void judge(const StorageSummary& op, StorageSummaryReply& reply) const;

 private:
  const Loss* find(const SegmentRecord& record) const;
  std::map<SegmentId, Loss> losses_;
};

}  // namespace claudefs::data
