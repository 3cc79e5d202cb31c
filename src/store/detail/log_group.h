// Lays the records of one group commit out for a single vectored write.
#pragma once

#include <vector>

#include "store/detail/log_format.h"

namespace claudefs::store::detail {

// Small pieces are copied into one block, so that a group of many small records is few iovecs.
class LogGroup {
 public:
  // `offset` in the file where the group begins; the chain goes on after `previous`.
  LogGroup(u64 salt, u64 offset, u64 first_sequence, u32 previous)
      : salt_(salt),
        start_(offset),
        offset_(offset),
        first_(first_sequence),
        sequence_(first_sequence),
        previous_(previous) {}

  // Gives the offset of the record.
  u32 add(LogRecordKind kind, const std::vector<Buffer>& content, u32 length, u32 content_crc);
  std::vector<Buffer> finish();  // the pieces to write at start(): whole blocks

  u64 start() const { return start_; }
  u64 end() const { return offset_; }  // of the last record; after finish() where the next group begins
  u64 next_sequence() const { return sequence_; }
  u32 previous() const { return previous_; }
  std::size_t count() const { return static_cast<std::size_t>(sequence_ - first_); }

 private:
  void close_block();

  u64 salt_;
  u64 start_;
  u64 offset_;
  u64 first_;
  u64 sequence_;
  u32 previous_;
  std::vector<std::byte> block_;
  std::vector<Buffer> pieces_;
};
inline constexpr std::size_t kGroupRecordsMost = 4096;

}  // namespace claudefs::store::detail
