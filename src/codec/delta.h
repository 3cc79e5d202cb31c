// What a chunk has that a similar one, its base, has not: a zstd frame with the base's content as its prefix.
// Pure and thread-safe.
#pragma once

#include <cstddef>

#include "base/buffer.h"
#include "base/result.h"

namespace claudefs::codec {

// Returns the frame's length, or 0 where it does not fit into `out`.
std::size_t compress_delta(ByteSpan plain, ByteSpan base, MutableByteSpan out);
// Errors: corrupt, when with this base `packed` does not give exactly out.size() bytes.
Result<> decompress_delta(ByteSpan packed, ByteSpan base, MutableByteSpan out);

}  // namespace claudefs::codec
