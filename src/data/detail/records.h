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
  static auto fields(auto& self) { return std::tie(self.chunks); }
};

inline constexpr std::string_view kChunkPrefix = "C";
inline constexpr std::string_view kSegmentPrefix = "G";
inline constexpr std::string_view kOpenSegmentPrefix = "g";
inline constexpr std::string_view kZeroPrefix = "c";
inline constexpr std::string_view kTotalsKey = "K";

std::string big_endian(u64 value);
std::string chunk_key(const codec::ChunkHash& hash);
std::string segment_key(SegmentId segment);
std::string open_segment_key(SegmentId segment);
std::string zero_key(Hlc zero_since, const codec::ChunkHash& hash);
struct ZeroEntry {
  Hlc zero_since{};
  codec::ChunkHash hash;
};
std::optional<ZeroEntry> parse_zero_key(std::string_view key);
std::optional<SegmentId> parse_segment_key(std::string_view key);  // of either segment prefix

void put_segment(meta::ApplyContext& context, const SegmentRecord& record);
void remove_segment(meta::ApplyContext& context, SegmentId segment);
void add_to_totals(meta::ApplyContext& context, i64 chunks);

// What the index shard tells the segment's shard when chunks begin or cease to be in the index.
struct SegmentDelta {  // command, emitted by ChunkDeltas and ReclaimChunks
  static constexpr u16 kKind = 0x0205;
  using Reply = meta::Nothing;
  SegmentId segment{};
  i64 live_bytes = 0;
  static auto fields(auto& self) { return std::tie(self.segment, self.live_bytes); }
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

// True when a sealed or abandoned segment may go, as far as its record tells.
bool removable(const SegmentRecord& record, Hlc safe, Hlc now);

}  // namespace claudefs::data
