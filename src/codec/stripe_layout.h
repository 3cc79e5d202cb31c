// Maps the bytes of a segment to its data shards: shard i holds bytes [i * shard_length, (i+1) *
// shard_length), so a chunk lies in one shard unless it crosses a boundary (docs/formats/erasure.md).
//
// Immutable: share it freely. Lengths and offsets are in bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/result.h"

namespace claudefs::codec {

class StripeLayout {
 public:
  static constexpr std::uint64_t kShardAlignment = 64;

  // A stretch of one shard.
  struct Place {
    unsigned shard = 0;
    std::uint64_t offset = 0;  // in the shard
    std::uint64_t length = 0;
    bool operator==(const Place&) const = default;
  };

  // ceil(segment_length / k), rounded up to kShardAlignment. Requires k > 0.
  static std::uint64_t shard_length(unsigned data_shards, std::uint64_t segment_length);

  // Errors: invalid_argument when k is not in 1..kMaxDataShards.
  static Result<StripeLayout> create(unsigned data_shards, std::uint64_t segment_length);

  std::uint64_t segment_length() const { return segment_length_; }
  std::uint64_t shard_length() const { return shard_length_; }

  // Where [offset, offset + length) lies, in order; nothing for a length of 0.
  // Errors: invalid_argument when it does not lie within the segment.
  Result<std::vector<Place>> places(std::uint64_t offset, std::uint64_t length) const;

 private:
  StripeLayout(std::uint64_t segment_length, std::uint64_t shard_length)
      : segment_length_(segment_length), shard_length_(shard_length) {}

  std::uint64_t segment_length_;
  std::uint64_t shard_length_;
};

}  // namespace claudefs::codec
