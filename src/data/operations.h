// Shard operations of the data plane: the chunk index and the segment table. Sent like those of
// meta/operations.h; executed in data/ops/. Records: docs/formats/data-index.md.
#pragma once

#include <optional>
#include <vector>

#include "meta/operations.h"

namespace claudefs::data {

using meta::Hlc;
using meta::Location;

// How a sealed segment is spread. 1+0 is one copy, 1+1 a mirror.
struct Layout {
  u8 data_shards = 1;
  u8 parity_shards = 0;
  auto operator<=>(const Layout&) const = default;
  static auto fields(auto& self) { return std::tie(self.data_shards, self.parity_shards); }
};
// The policy for a number of nodes: 1+0, 1+1, 2+1 (3 to 5), 4+2 (6 and more).
Layout policy_layout(std::size_t nodes);

enum class SegmentState : u8 { open = 0, sealed = 1, dead = 2 };
struct SegmentRecord {
  SegmentId id{};
  SegmentState state = SegmentState::open;
  SessionId owner{};
  std::vector<NodeId> journals;  // while open: who mirrors it
  Layout layout;                 // when sealed
  u32 generation = 0;
  std::vector<NodeId> nodes;  // when sealed: holder of each shard, data first
  u32 length = 0;             // when sealed
  i64 live_bytes = 0;         // of chunks that the index points to
  bool ever_live = false;
  Hlc granted{};
  Hlc changed{};
  i64 indexed_bytes = 0;  // of chunks that the index ever pointed to here
  bool reduced = false;   // the second tier has looked at its chunks: they are as short as they come
  static auto fields(auto& self) {
    return std::tie(self.id, self.state, self.owner, self.journals, self.layout, self.generation, self.nodes,
                    self.length, self.live_bytes, self.ever_live, self.granted, self.changed,
                    self.indexed_bytes, self.reduced);
  }
};

// --- chunk index: to meta::shard_of_chunk ---
struct ChunkPlace {
  bool found = false;
  Location location;
  u32 chunk_length = 0;
  std::optional<codec::ChunkHash> base;  // what its stored form builds on
  static auto fields(auto& self) { return std::tie(self.found, self.location, self.chunk_length, self.base); }
};
struct ChunkPlaces {
  std::vector<ChunkPlace> places;  // as asked
  Hlc valid_until{};               // of the pins
  static auto fields(auto& self) { return std::tie(self.places, self.valid_until); }
};
struct FindChunks {  // query: no promise that they stay
  static constexpr u16 kKind = 0x0210;
  using Reply = ChunkPlaces;
  std::vector<codec::ChunkHash> hashes;
  static auto fields(auto& self) { return std::tie(self.hashes); }
};
struct PinChunks {  // command: those found stay until `valid_until`; commits that use them carry it
  static constexpr u16 kKind = 0x0202;
  using Reply = ChunkPlaces;
  std::vector<codec::ChunkHash> hashes;
  static auto fields(auto& self) { return std::tie(self.hashes); }
};

// --- segment table: to shard_of(segment) ---
struct SegmentsReply {
  std::vector<SegmentRecord> records;  // as asked or granted; state dead for unknown ones
  static auto fields(auto& self) { return std::tie(self.records); }
};
struct GrantSegments {  // command, to any shard: new open segments that live in that shard's table
  static constexpr u16 kKind = 0x0203;
  using Reply = SegmentsReply;
  SessionId owner{};
  u32 count = 1;
  std::vector<NodeId>
      journals;  // the nodes that will mirror them while open; may be empty for direct sealing
  static auto fields(auto& self) { return std::tie(self.owner, self.count, self.journals); }
};
struct SealSegments {  // command: their shards are durable. Refused (conflict) when the generation is not
                       // newer.
  static constexpr u16 kKind = 0x0204;
  using Reply = meta::Nothing;
  struct Sealed {
    SegmentId id{};
    u32 generation = 0;
    Layout layout;
    std::vector<NodeId> nodes;
    u32 length = 0;
    bool reduced = false;  // as SegmentRecord; what was true of it stays true
    static auto fields(auto& self) {
      return std::tie(self.id, self.generation, self.layout, self.nodes, self.length, self.reduced);
    }
  };
  std::vector<Sealed> segments;
  static auto fields(auto& self) { return std::tie(self.segments); }
};
struct FindSegments {  // query
  static constexpr u16 kKind = 0x0211;
  using Reply = SegmentsReply;
  std::vector<SegmentId> segments;
  static auto fields(auto& self) { return std::tie(self.segments); }
};
// A shard's figures, as its leader knows them. Bytes by how many more node failures they survive, given who
// is up. A shard that an up node should hold and does not counts as lost.
struct StorageSummaryReply {
  u64 live_bytes = 0;     // stored form of chunks in use, once
  u64 segment_bytes = 0;  // sealed and open segments' bytes, without redundancy
  u64 raw_bytes = 0;      // with redundancy
  u64 full = 0;           // at the policy's layout, all holders up
  u64 degraded = 0;       // less than that, and still survives a failure
  u64 at_risk = 0;        // one more failure loses it, or it cannot be read now
  u64 segments = 0;
  u64 chunks = 0;
  u64 missing_shards = 0;         // that up nodes should hold and do not
  u64 missing_bytes = 0;          // of the segments that they belong to
  std::vector<NodeId> unchecked;  // up nodes whose holdings were not checked since they started
  u64 repair_bytes = 0;           // of segments that wait to be laid out anew
  u64 repaired_bytes = 0;         // since this leader began
  u64 repair_rate = 0;            // bytes a second, lately
  u64 reclaimable_bytes = 0;      // dead, in segments or waiting in the index
  u64 compaction_debt = 0;        // of those, what comes free only when what lives beside it is moved
  u64 reclaimed_bytes = 0;        // segments' bytes given back, since this leader began
  u64 reclaim_rate = 0;           // bytes a second, lately
  u64 unreadable_segments = 0;    // fewer good shards than needed, holders that are down counted as good
  u64 moved_bytes = 0;            // by compaction, since this leader began: reclaimed_bytes has them too
  u64 saved_bytes = 0;            // that the index's chunks would take more without the second tier
  u64 unreduced_bytes = 0;        // live, in sealed segments that the second tier has not looked at
  static auto fields(auto& self) {
    return std::tie(self.live_bytes, self.segment_bytes, self.raw_bytes, self.full, self.degraded,
                    self.at_risk, self.segments, self.chunks, self.missing_shards, self.missing_bytes,
                    self.unchecked, self.repair_bytes, self.repaired_bytes, self.repair_rate,
                    self.reclaimable_bytes, self.compaction_debt, self.reclaimed_bytes, self.reclaim_rate,
                    self.unreadable_segments, self.moved_bytes, self.saved_bytes, self.unreduced_bytes);
  }
};
struct StorageSummary {  // answered from the leader's memory: costs no scan
  static constexpr u16 kKind = 0x0212;
  using Reply = StorageSummaryReply;
  std::vector<NodeId> up;  // and of sound disk
  u16 nodes_total = 0;
  std::vector<u64> incarnations;  // of those in `up`, as the map says; may be empty
  static auto fields(auto& self) { return std::tie(self.up, self.nodes_total, self.incarnations); }
};
// To a segment's leader: a copy that a read found lost or wrong. The leader looks for itself, and lays the
// segment out anew where that helps.
struct ReportBadCopy {
  static constexpr u16 kKind = 0x0220;
  using Reply = meta::Nothing;
  SegmentId segment{};
  u32 generation = 0;
  u8 index = 0;
  // Its checksums hold and its content is wrong: the holder cannot know.
  bool lies = false;
  static auto fields(auto& self) { return std::tie(self.segment, self.generation, self.index, self.lies); }
};

}  // namespace claudefs::data
