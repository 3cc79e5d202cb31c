// Records and keys of the chunk index and the segment table: docs/formats/data-index.md. Keys are without the
// shard's prefix.
#pragma once

#include <map>
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
  // Of the second tier; never both a base of its own and one of others.
  std::optional<codec::ChunkHash> base;  // what its stored form builds on: one reference there
  bool is_base = false;                  // others may build on it: it stays whole for good
  u32 saved = 0;                         // by which its stored form has become shorter
  static auto fields(auto& self) {
    return std::tie(self.location, self.chunk_length, self.references, self.pinned_until, self.zero_since,
                    self.changed, self.base, self.is_base, self.saved);
  }
};
struct IndexTotals {
  u64 chunks = 0;
  u64 zero_bytes = 0;   // stored, of chunks without references: waiting to be reclaimed
  u64 saved_bytes = 0;  // sum of ChunkRecord::saved
  static auto fields(auto& self) { return std::tie(self.chunks, self.zero_bytes, self.saved_bytes); }
};

inline constexpr std::string_view kChunkPrefix = "C";
inline constexpr std::string_view kSegmentPrefix = "G";
inline constexpr std::string_view kOpenSegmentPrefix = "g";
inline constexpr std::string_view kDeadSegmentPrefix = "d";
inline constexpr std::string_view kZeroPrefix = "c";
inline constexpr std::string_view kPlacePrefix = "s";
inline constexpr std::string_view kSketchPrefix = "f";
inline constexpr std::string_view kTotalsKey = "K";

std::string big_endian(u64 value);
std::string chunk_key(const codec::ChunkHash& hash);
std::string segment_key(SegmentId segment);
std::string open_segment_key(SegmentId segment);
std::string dead_segment_key(SegmentId segment);
std::string place_key(SegmentId segment, u32 offset);  // of the chunk that begins there
std::string zero_key(Hlc zero_since, const codec::ChunkHash& hash);
inline constexpr u64 kSketchSlots = 1 << 20;           // a shard
std::string sketch_key(u64 feature, u16 shard_count);  // of its slot
struct SketchRecord {
  u64 feature = 0;
  codec::ChunkHash hash;
  static auto fields(auto& self) { return std::tie(self.feature, self.hash); }
};
struct ZeroEntry {
  Hlc zero_since{};
  codec::ChunkHash hash;
};
std::optional<ZeroEntry> parse_zero_key(std::string_view key);
std::optional<SegmentId> parse_segment_key(std::string_view key);  // of any of the segment prefixes

void put_segment(meta::ApplyContext& context, const SegmentRecord& record);
void remove_segment(meta::ApplyContext& context, SegmentId segment);
struct TotalsDelta {
  i64 chunks = 0, zero_bytes = 0, saved_bytes = 0;
};
void add_to_totals(meta::ApplyContext& context, const TotalsDelta& delta);

// What commands change in several places, gathered: segments' live bytes, and references to bases.
struct IndexEffects {
  std::map<SegmentId, i64> live_bytes;
  std::map<codec::ChunkHash, i64> bases;
  TotalsDelta totals;
  // Sends them: to each segment's and each base's shard, exactly once; and adds to the shard's totals.
  void emit(meta::ApplyContext& context) const;
};
// The chunk lies elsewhere from now on. The record is not stored yet.
void move_chunk(meta::ApplyContext& context, const codec::ChunkHash& hash, ChunkRecord& record,
                const Location& to, IndexEffects& effects);

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
    u32 chunk_length = 0;  // plain
    bool is_delta = false;
    bool is_base = false;
    static auto fields(auto& self) {
      return std::tie(self.hash, self.location, self.chunk_length, self.is_delta, self.is_base);
    }
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

// --- the second tier of reduction: how the steps fit together, docs/formats/data-index.md ---
// Each entry's chunk is what others with that feature may build on, unless the feature has one: then that is
// told. `instead_of`: one that was told and is of no use; it gives way.
struct MatchSketchesReply {
  std::vector<codec::ChunkHash> chunks;  // as asked; its own hash where it was entered
  static auto fields(auto& self) { return std::tie(self.chunks); }
};
struct MatchSketches {  // command, to shard_of_feature
  static constexpr u16 kKind = 0x0209;
  using Reply = MatchSketchesReply;
  struct Entry {
    u64 feature = 0;
    codec::ChunkHash hash;
    codec::ChunkHash instead_of;
    static auto fields(auto& self) { return std::tie(self.feature, self.hash, self.instead_of); }
  };
  std::vector<Entry> entries;
  static auto fields(auto& self) { return std::tie(self.entries); }
};
inline ShardId shard_of_feature(u64 feature, u16 shard_count) {
  return ShardId{static_cast<u16>(feature % shard_count)};
}
// Whole chunks that something refers to become bases: they stay whole for good, and in the index at least
// until `valid_until`, for ReduceChunks that carry it.
struct PinBasesReply {
  struct Base {
    bool pinned = false;
    Location location;
    u32 chunk_length = 0;
    std::optional<codec::ChunkHash> base;  // not pinned: because it builds on this one itself
    static auto fields(auto& self) {
      return std::tie(self.pinned, self.location, self.chunk_length, self.base);
    }
  };
  std::vector<Base> bases;  // as asked
  Hlc valid_until{};
  static auto fields(auto& self) { return std::tie(self.bases, self.valid_until); }
};
struct PinBases {  // command
  static constexpr u16 kKind = 0x020a;
  using Reply = PinBasesReply;
  std::vector<codec::ChunkHash> hashes;
  static auto fields(auto& self) { return std::tie(self.hashes); }
};
// A shorter form of a whole chunk lies durably in a sealed segment. One that is gone, elsewhere, a delta or
// no longer referred to stays as it is, and so does a base where the form is a delta. Refused (conflict) when
// applied after `valid_until`: the segment or the base may be forgotten by then.
struct ReduceChunksReply {
  u32 deltas = 0;
  u64 saved_bytes = 0;
  static auto fields(auto& self) { return std::tie(self.deltas, self.saved_bytes); }
};
struct ReduceChunks {  // command
  static constexpr u16 kKind = 0x020b;
  using Reply = ReduceChunksReply;
  struct Form {
    codec::ChunkHash hash;
    Location from, to;
    std::optional<codec::ChunkHash> base;
    static auto fields(auto& self) { return std::tie(self.hash, self.from, self.to, self.base); }
  };
  std::vector<Form> forms;
  Hlc valid_until{};
  static auto fields(auto& self) { return std::tie(self.forms, self.valid_until); }
};
struct SegmentsReduced {  // command: their chunks have been looked at
  static constexpr u16 kKind = 0x020c;
  using Reply = meta::Nothing;
  std::vector<SegmentId> segments;
  static auto fields(auto& self) { return std::tie(self.segments); }
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
