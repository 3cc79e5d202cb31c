// The stored form of a chunk (docs/formats/chunk.md): compressed where it pays, encrypted, self-checking.
//
// Clients seal and open; a node that holds no key can still tell a damaged one with check_chunk. All
// functions are pure and thread-safe, and fit for an offload pool: a chunk costs some tens of microseconds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/buffer.h"
#include "base/result.h"
#include "codec/chunk_hash.h"
#include "codec/compress.h"
#include "codec/secret_key.h"

namespace claudefs::codec {

inline constexpr std::size_t kMaxChunkLength = 1 << 20;
// What the stored form may have over the content, at most.
inline constexpr std::size_t kMaxChunkOverhead = 48;

// On disk: values never change their meaning.
enum class ChunkEncoding : std::uint8_t { raw = 0, lz4 = 1, zstd = 2, delta = 3 };

struct ChunkCodecOptions {
  Compression compression;
  bool encrypt = true;
};

struct ChunkHeader {
  ChunkEncoding encoding = ChunkEncoding::raw;
  bool encrypted = false;
  std::uint32_t plain_length = 0;
  std::uint32_t body_length = 0;
  std::optional<ChunkHash> base;  // of a delta: the chunk whose content it builds on
  bool operator==(const ChunkHeader&) const = default;
};

// `hash` must be hash_chunk(domain, plain), which the caller has anyway: it is not computed again. The same
// arguments give the same bytes. Errors: invalid_argument for a length of 0 or above kMaxChunkLength.
Result<Buffer> seal_chunk(const ChunkCodecOptions& options, const DomainKey& domain, const ChunkHash& hash,
                          ByteSpan plain);

// The form that builds on the content of another chunk of the domain, which the caller vouches to be
// `base`'s. The same arguments give the same bytes with one version of zstd. Errors: invalid_argument for a
// length that no chunk has; not_found where the two have so little in common that the form would not be
// shorter than the content.
struct DeltaBase {
  ChunkHash hash;
  ByteSpan plain;
};
Result<Buffer> seal_delta(const DomainKey& domain, const ChunkHash& hash, ByteSpan plain, DeltaBase base,
                          bool encrypt = true);
// What must be read before a stored chunk can be opened: nothing for whole ones, and for what does not check.
std::optional<ChunkHash> delta_base(ByteSpan stored);

// The content, once it is proved to be the one that `expected` names. What is stored raw and unencrypted
// shares the block of `stored`. `base`: the content of delta_base(stored), where there is one. Errors:
// corrupt (read another copy), wrong_version.
Result<Buffer> open_chunk(const DomainKey& domain, const ChunkHash& expected, const Buffer& stored,
                          ByteSpan base = {});

// Everything that can be checked without the key: form, version, checksum. For nodes, scrubbers, packers.
// Errors: corrupt, wrong_version.
Result<ChunkHeader> check_chunk(ByteSpan stored);
// How long the stored chunk is that begins here, as its header says: for walking over packed chunks. Nothing
// is checked but the magic. Errors: corrupt.
Result<std::size_t> stored_length(ByteSpan begin);

}  // namespace claudefs::codec
