// Records and keys of the chunk index and the segment table: docs/formats/data-index.md. Keys are without the
// shard's prefix.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "data/operations.h"
#include "meta/shard_machine.h"

namespace claudefs::data {

struct ChunkRecord {
  Location location;
  u32 chunk_length = 0;  // plain
  u64 references = 0;
  Hlc pinned_until{};
  Hlc zero_since{};  // 0 while referenced
  Hlc changed{};     // references or location: what `claudefs fsck` judges has not changed since it began
  static auto fields(auto& self) {
    return std::tie(self.location, self.chunk_length, self.references, self.pinned_until, self.zero_since,
                    self.changed);
  }
};
struct IndexTotals {
  u64 chunks = 0;
  u64 zero_bytes = 0;  // stored, of chunks without references: waiting to be reclaimed
  static auto fields(auto& self) { return std::tie(self.chunks, self.zero_bytes); }
};

inline constexpr std::string_view kChunkPrefix = "C";
inline constexpr std::string_view kSegmentPrefix = "G";
inline constexpr std::string_view kOpenSegmentPrefix = "g";
inline constexpr std::string_view kDeadSegmentPrefix = "d";
inline constexpr std::string_view kZeroPrefix = "c";
inline constexpr std::string_view kPlacePrefix = "s";
inline constexpr std::string_view kTotalsKey = "K";

std::string big_endian(u64 value);
std::string chunk_key(const codec::ChunkHash& hash);
std::string segment_key(SegmentId segment);
std::string open_segment_key(SegmentId segment);
std::string dead_segment_key(SegmentId segment);
std::string place_key(SegmentId segment, u32 offset);  // of the chunk that begins there
std::string zero_key(Hlc zero_since, const codec::ChunkHash& hash);
struct ZeroEntry {
  Hlc zero_since{};
  codec::ChunkHash hash;
};
std::optional<ZeroEntry> parse_zero_key(std::string_view key);
std::optional<SegmentId> parse_segment_key(std::string_view key);  // of any of the segment prefixes

void put_segment(meta::ApplyContext& context, const SegmentRecord& record);
void remove_segment(meta::ApplyContext& context, SegmentId segment);
void add_to_totals(meta::ApplyContext& context, i64 chunks, i64 zero_bytes);

// What the index shard tells the segment's shard when chunks begin or cease to be in the index.
struct SegmentDelta {  // command, emitted by ChunkDeltas and ReclaimChunks
  static constexpr u16 kKind = 0x0205;
  using Reply = meta::Nothing;
  SegmentId segment{};
  i64 live_bytes = 0;
  static auto fields(auto& self) { return std::tie(self.segment, self.live_bytes); }
};

// --- compaction ---
// What the index has in some segments and something refers to, in the order of their places. One moment of
// one index shard; a segment's chunks may be in any.
struct ChunksInReply {
  struct Row {
    codec::ChunkHash hash;
    Location location;
    static auto fields(auto& self) { return std::tie(self.hash, self.location); }
  };
  std::vector<Row> rows;
  static auto fields(auto& self) { return std::tie(self.rows); }
};
struct ChunksIn {  // query
  static constexpr u16 kKind = 0x0213;
  using Reply = ChunksInReply;
  std::vector<SegmentId> segments;
  static auto fields(auto& self) { return std::tie(self.segments); }
};
// The same bytes lie durably in another, sealed segment: from now on they are read there. A chunk that is
// gone or elsewhere by now stays as it is. Refused (conflict) when applied after `valid_until`: the new
// segment may be forgotten by then.
struct MoveChunksReply {
  u64 moved_bytes = 0;
  static auto fields(auto& self) { return std::tie(self.moved_bytes); }
};
struct MoveChunks {  // command
  static constexpr u16 kKind = 0x0208;
  using Reply = MoveChunksReply;
  struct Move {
    codec::ChunkHash hash;
    Location from, to;
    static auto fields(auto& self) { return std::tie(self.hash, self.from, self.to); }
  };
  std::vector<Move> moves;
  Hlc valid_until{};
  static auto fields(auto& self) { return std::tie(self.moves, self.valid_until); }
};

// `safe`: every shard's clock has passed it, and whatever was emitted up to it has been applied.
struct ReclaimChunksReply {
  u32 reclaimed = 0;
  bool more = false;
  static auto fields(auto& self) { return std::tie(self.reclaimed, self.more); }
};
struct ReclaimChunks {  // command of the leader's reclaim task
  static constexpr u16 kKind = 0x0206;
  using Reply = ReclaimChunksReply;
  Hlc safe{};
  u32 chunks_max = 256;
  static auto fields(auto& self) { return std::tie(self.safe, self.chunks_max); }
};

// Forgets segments that hold nothing any more. Each is judged again when the command is applied; the reply
// has those that went, whose shards may then be removed from their holders.
struct RemoveSegments {  // command of the leader's reclaim task
  static constexpr u16 kKind = 0x0207;
  using Reply = SegmentsReply;
  Hlc safe{};
  std::vector<SegmentId> segments;
  std::vector<SegmentId> empty;  // open ones that are closed at all their journals and held nothing
  static auto fields(auto& self) { return std::tie(self.safe, self.segments, self.empty); }
};

// No commit that refers to chunks where they were first put in this sealed segment can still come: each of
// them has come (a store's chunks go into one commit), or what promised them a place has run out.
bool settled(const SegmentRecord& record, Hlc safe);
// True when a sealed or abandoned segment may go, as far as its record tells.
bool removable(const SegmentRecord& record, Hlc safe, Hlc now);

}  // namespace claudefs::data
