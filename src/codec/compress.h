// Compression of chunks: LZ4 blocks, with a cheap look first whether it pays, or zstd frames. Pure and
// thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <tuple>

#include "base/buffer.h"
#include "base/result.h"

namespace claudefs::codec {

// A guess from a few samples. False for content that LZ4 shrinks by less than a sixteenth; may be wrong for
// content whose repeats lie further apart than a sample is long.
bool looks_compressible(ByteSpan plain);

// On disk (policies of volumes): values never change their meaning.
enum class Compressor : std::uint8_t { lz4 = 0, none = 1, zstd = 2 };
inline constexpr int kZstdLevelMost = 19;
struct Compression {
  Compressor by = Compressor::lz4;
  std::uint8_t level = 0;  // of zstd: 1 to kZstdLevelMost
  bool operator==(const Compression&) const = default;
  static auto fields(auto& self) { return std::tie(self.by, self.level); }
};

// Compresses into `out` and returns the length, or 0 where that does not save a sixteenth and at least a byte
// (`out` is then undefined). `out` needs compressed_room(plain.size()) bytes.
std::size_t compress(const Compression& how, ByteSpan plain, MutableByteSpan out);
std::size_t compressed_room(std::size_t plain_size);

// Errors: corrupt, when `packed` is not what exactly out.size() bytes became; `out` is then undefined.
Result<> decompress_lz4(ByteSpan packed, MutableByteSpan out);
Result<> decompress_zstd(ByteSpan packed, MutableByteSpan out);

}  // namespace claudefs::codec
