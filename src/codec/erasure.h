// Reed-Solomon erasure code: k data shards, m parity shards, any k of the k+m give the rest
// (docs/formats/erasure.md).
//
// Systematic: data shards are the segment's own bytes in order. An ErasureCode is immutable and may be
// shared by threads; making one costs about a microsecond.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/buffer.h"
#include "base/result.h"

namespace claudefs::codec {

inline constexpr unsigned kMaxDataShards = 16;
inline constexpr unsigned kMaxParityShards = 4;

// Shard `index`: data below k, parity from k to k+m-1.
struct Shard {
  unsigned index = 0;
  Buffer bytes;
};

class ErasureCode {
 public:
  // Errors: invalid_argument outside 1..kMaxDataShards and 0..kMaxParityShards.
  static Result<ErasureCode> create(unsigned data_shards, unsigned parity_shards);

  unsigned data_shards() const { return data_; }
  unsigned parity_shards() const { return parity_; }
  unsigned shards() const { return data_ + parity_; }

  // All k+m shards, by index, each StripeLayout::shard_length(k, segment.size()) long. Data shards share the
  // segment's block but where the end needs padding.
  std::vector<Buffer> encode(const Buffer& segment) const;

  // Writes the m parity shards of k data shards, without copying. All have one length.
  void encode_parity(std::span<const ByteSpan> data, std::span<const MutableByteSpan> parity) const;

  // The shards `wanted`, in that order, out of any k others. `available` may be the same range of each shard
  // instead of all of it; the result is then that range of the wanted ones. What is wanted and available is
  // handed back as it is. The bytes are trusted: check what you pass.
  // Errors: invalid_argument for an index out of range or given twice, unequal lengths; unavailable for fewer
  // than k shards.
  Result<std::vector<Buffer>> reconstruct(std::span<const Shard> available,
                                          std::span<const unsigned> wanted) const;

 private:
  ErasureCode(unsigned data_shards, unsigned parity_shards);
  Result<std::vector<const Shard*>> by_index(std::span<const Shard> available) const;

  unsigned data_;
  unsigned parity_;
  std::vector<std::uint8_t> matrix_;  // (k+m) rows of k coefficients; the upper k are the identity
  std::vector<std::uint8_t> tables_;  // ISA-L's expansion of the lower m
};

}  // namespace claudefs::codec
