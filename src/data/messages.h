// What nodes do with data for clients and for each other: journal and shard reads and writes. Method numbers
// are on the wire: never renumber. Bulk bytes travel as the call's payload.
#pragma once

#include "base/ids.h"
#include "net/rpc.h"
#include "store/shard_store.h"

namespace claudefs::data {

// Errors of all: unavailable, io_error; others as store/journal.h and store/shard_store.h say.
struct JournalAppend {  // payload: the bytes
  static constexpr u16 kMethod = 0x0301;
  using Reply = net::Empty;
  SegmentId segment{};
  u32 offset = 0;
  static auto fields(auto& self) { return std::tie(self.segment, self.offset); }
};
struct JournalRead {  // reply payload: the bytes
  static constexpr u16 kMethod = 0x0302;
  using Reply = net::Empty;
  SegmentId segment{};
  u32 offset = 0;
  u32 length = 0;
  static auto fields(auto& self) { return std::tie(self.segment, self.offset, self.length); }
};
// Closes an open segment at one journal, encodes what it holds k+m and writes the shards to `nodes`.
struct SealFromJournalReply {
  u32 length = 0;  // 0: nothing was held
  static auto fields(auto& self) { return std::tie(self.length); }
};
struct SealFromJournal {
  static constexpr u16 kMethod = 0x0303;
  using Reply = SealFromJournalReply;
  SegmentId segment{};
  u32 generation = 0;
  u8 data_shards = 1;
  u8 parity_shards = 0;
  std::vector<NodeId> nodes;
  static auto fields(auto& self) {
    return std::tie(self.segment, self.generation, self.data_shards, self.parity_shards, self.nodes);
  }
};
struct JournalDrop {
  static constexpr u16 kMethod = 0x0304;
  using Reply = net::Empty;
  std::vector<SegmentId> segments;
  static auto fields(auto& self) { return std::tie(self.segments); }
};
struct ShardWrite {  // payload: the shard
  static constexpr u16 kMethod = 0x0310;
  using Reply = net::Empty;
  store::ShardKey key;
  static auto fields(auto& self) { return std::tie(self.key); }
};
struct ShardRead {  // reply payload: the bytes
  static constexpr u16 kMethod = 0x0311;
  using Reply = net::Empty;
  store::ShardKey key;
  u32 offset = 0;
  u32 length = 0;
  static auto fields(auto& self) { return std::tie(self.key, self.offset, self.length); }
};
struct ShardRemove {
  static constexpr u16 kMethod = 0x0312;
  using Reply = net::Empty;
  std::vector<store::ShardKey> keys;
  static auto fields(auto& self) { return std::tie(self.keys); }
};
struct ShardHoldsReply {
  std::vector<u8> held;  // 1 or 0, as asked
  static auto fields(auto& self) { return std::tie(self.held); }
};
struct ShardHolds {
  static constexpr u16 kMethod = 0x0313;
  using Reply = ShardHoldsReply;
  std::vector<store::ShardKey> keys;
  static auto fields(auto& self) { return std::tie(self.keys); }
};

}  // namespace claudefs::data
