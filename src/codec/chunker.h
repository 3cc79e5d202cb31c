// Cuts a stream of bytes into chunks where its content says so: an insertion early in a file moves the cuts
// after it along, so what follows still deduplicates.
//
// A gear hash over the last 64 bytes decides. A cut is rarer before a point below the target length than
// after it, so lengths stay near the target. No cut is looked for below the least length, which is
// skipped unread. Cuts depend on the content alone, never on how it was handed over.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/buffer.h"

namespace claudefs::codec {

// In bytes. Requires 64 <= least < target <= most, and target a power of two.
struct ChunkLimits {
  std::size_t least = 64 << 10;
  std::size_t target = 128 << 10;
  std::size_t most = 256 << 10;
};

// One stream's state; one thread at a time.
class Chunker {
 public:
  explicit Chunker(ChunkLimits limits = {});

  // `data` begins where the last chunk ended. Returns the next chunk's length; 0 when more bytes are
  // needed to tell (never once `data` holds limits.most bytes), or when `data` is empty. After a 0, call
  // again with the same bytes and more behind them: those seen are not read again. `at_end` says that
  // nothing follows `data`, and gives a last chunk that may be shorter than limits.least.
  std::size_t next_cut(ByteSpan data, bool at_end);

  // Forgets the bytes seen since the last cut.
  void reset();

  const ChunkLimits& limits() const { return limits_; }

 private:
  ChunkLimits limits_;
  std::size_t early_end_ = 0;      // up to here cuts are rare
  std::uint64_t early_bound_ = 0;  // a hash below the bound is a cut
  std::uint64_t late_bound_ = 0;
  std::size_t scanned_ = 0;  // bytes of the current chunk behind us
  std::uint64_t hash_ = 0;
};

}  // namespace claudefs::codec
