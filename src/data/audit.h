// What `claudefs fsck` asks of the chunk index and the segment table, page by page, and the mending of what
// it proved wrong. Every page is one moment of its shard. Kinds are on the wire: never renumber.
#pragma once

#include <optional>
#include <vector>

#include "data/operations.h"
#include "meta/shard_machine.h"

namespace claudefs::data {

struct AuditChunksReply {
  struct Row {
    codec::ChunkHash hash;
    Location location;
    u64 references = 0;
    Hlc changed{};
    // At zero exactly when it stands in the queue of what may be reclaimed; found by its place, too.
    bool listed_rightly = true;
    std::optional<codec::ChunkHash> base;  // what its stored form builds on
    bool is_base = false;
    static auto fields(auto& self) {
      return std::tie(self.hash, self.location, self.references, self.changed, self.listed_rightly, self.base,
                      self.is_base);
    }
  };
  std::vector<Row> rows;
  bool end = false;
  codec::ChunkHash last;  // that was looked at: where the next page goes on
  static auto fields(auto& self) { return std::tie(self.rows, self.end, self.last); }
};
struct AuditChunks {  // query: in the order of their hashes
  static constexpr u16 kKind = 0x0230;
  using Reply = AuditChunksReply;
  codec::ChunkHash after;
  bool from_start = true;
  u32 rows_max = 4096;
  bool deltas_only = false;  // those that build on others; a page may have none and not be the end
  static auto fields(auto& self) {
    return std::tie(self.after, self.from_start, self.rows_max, self.deltas_only);
  }
};
struct AuditSegmentsReply {
  std::vector<SegmentRecord> records;
  bool end = false;
  static auto fields(auto& self) { return std::tie(self.records, self.end); }
};
struct AuditSegments {  // query: in the order of their ids
  static constexpr u16 kKind = 0x0231;
  using Reply = AuditSegmentsReply;
  SegmentId after{};
  u32 rows_max = 1024;
  static auto fields(auto& self) { return std::tie(self.after, self.rows_max); }
};
// Refused (conflict) when the record is not as it was when it was judged.
struct RepairChunk {  // command
  static constexpr u16 kKind = 0x0232;
  using Reply = meta::Nothing;
  codec::ChunkHash hash;
  Hlc if_changed{};
  u64 references = 0;
  static auto fields(auto& self) { return std::tie(self.hash, self.if_changed, self.references); }
};
struct RepairSegment {  // command
  static constexpr u16 kKind = 0x0233;
  using Reply = meta::Nothing;
  SegmentId segment{};
  Hlc if_changed{};
  i64 live_bytes = 0;
  static auto fields(auto& self) { return std::tie(self.segment, self.if_changed, self.live_bytes); }
};

void register_audit(meta::OperationTable& table);

}  // namespace claudefs::data
