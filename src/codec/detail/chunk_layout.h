// Where things lie in a stored chunk. See docs/formats/chunk.md.
#pragma once

#include <array>
#include <cstddef>

#include "base/buffer.h"
#include "codec/aead.h"
#include "codec/chunk_frame.h"

namespace claudefs::codec::detail {

inline constexpr std::size_t kBoundHeader = 16;  // what the checksum and the tag cover of the header
inline constexpr std::size_t kHeader = 20;
inline constexpr std::size_t kNonce = std::tuple_size_v<AeadNonce>;
inline constexpr std::size_t kTag = std::tuple_size_v<AeadTag>;
static_assert(kHeader + kNonce + kTag == kMaxChunkOverhead);

inline constexpr std::size_t kHash = 32;

inline std::size_t base_size(const ChunkHeader& header) { return header.base ? kHash : 0; }
inline std::size_t nonce_offset(const ChunkHeader& header) { return kHeader + base_size(header); }
inline std::size_t body_offset(const ChunkHeader& header) {
  return nonce_offset(header) + (header.encrypted ? kNonce : 0);
}
inline std::size_t stored_size(const ChunkHeader& header) {
  return body_offset(header) + header.body_length + (header.encrypted ? kTag : 0);
}

// Writes bytes 0 to 15, and the base's hash.
void put_header(const ChunkHeader& header, MutableByteSpan stored);
// Writes bytes 16 to 19, over all the others.
void put_checksum(MutableByteSpan stored);

// One chunk's keys and what its message is bound to.
struct ChunkCipher {
  ChunkCipher(const DomainKey& domain, const ChunkHash& hash, const ChunkHeader& header, ByteSpan stored);
  AeadNonce nonce_for(ByteSpan body) const;
  ByteSpan associated() const { return ByteSpan(associated_).first(associated_size_); }

  SecretKey chunk_key;
  SecretKey nonce_key;

 private:
  std::array<std::byte, 2 * kHash + kBoundHeader> associated_;
  std::size_t associated_size_ = 0;
};

}  // namespace claudefs::codec::detail
