// Sealed segments' shards on one node. Format: docs/formats/shard.md (header with magic, version, segment,
// index, length, header CRC; a CRC-32C for every 4 KiB block, checked on every read).
// Immutable once written; a shard is there whole or not at all.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/ids.h"
#include "base/result.h"
#include "runtime/env.h"

namespace claudefs::store {

struct ShardKey {
  SegmentId segment{};
  u8 index = 0;        // place in the stripe
  u32 generation = 0;  // grows when a segment is laid out anew, so old and new shards never mix
  auto operator<=>(const ShardKey&) const = default;
  static auto fields(auto& self) { return std::tie(self.segment, self.index, self.generation); }
};
struct ShardInfo {
  ShardKey key;
  u32 length = 0;
};

class ShardStore {
 public:
  // `directory` on one disk; refuses writes that would use more than `bytes_max` (no_space).
  static runtime::Task<Result<std::unique_ptr<ShardStore>>> open(runtime::Env& env, std::string directory,
                                                                 u64 bytes_max);
  virtual ~ShardStore() = default;
  // Durable when it ends. Writing the same key again with the same bytes is fine (a retry).
  virtual runtime::Task<Result<void>> write(ShardKey key, std::vector<Buffer> data) = 0;
  // Errors: not_found, corrupt (a block does not check: rebuild it), io_error, out_of_range.
  virtual runtime::Task<Result<Buffer>> read(ShardKey key, u32 offset, u32 length) = 0;
  // Reads the whole file anew: header, table, what should be zeros, every block. Errors: as read().
  virtual runtime::Task<Result<void>> verify(ShardKey key) = 0;
  virtual runtime::Task<Result<void>> remove(ShardKey key) = 0;  // fine if absent
  virtual std::vector<ShardInfo> list() const = 0;               // sorted by key
  virtual bool contains(ShardKey key) const = 0;
  virtual u64 used_bytes() const = 0;
  virtual u64 capacity_bytes() const = 0;
  virtual runtime::Task<void> stop() = 0;
};

}  // namespace claudefs::store
