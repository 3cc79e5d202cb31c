// LZ4 block compression with a cheap look first whether it pays. Pure and thread-safe.
#pragma once

#include <cstddef>

#include "base/buffer.h"
#include "base/result.h"

namespace claudefs::codec {

// A guess from a few samples. False for content that LZ4 shrinks by less than a sixteenth; may be wrong for
// content whose repeats lie further apart than a sample is long.
bool looks_compressible(ByteSpan plain);

// Compresses into `out` and returns the length, or 0 where that does not save a sixteenth and at least a byte
// (`out` is then undefined). `out` needs compressed_room(plain.size()) bytes.
std::size_t compress_lz4(ByteSpan plain, MutableByteSpan out);
std::size_t compressed_room(std::size_t plain_size);

// Errors: corrupt, when `packed` is no block of exactly out.size() bytes; `out` is then undefined.
Result<> decompress_lz4(ByteSpan packed, MutableByteSpan out);

}  // namespace claudefs::codec
