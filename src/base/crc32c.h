// CRC-32C (Castagnoli, RFC 3720 appendix B.4), accelerated by ISA-L. For torn writes and line noise;
// content is guarded by BLAKE3 as well.
#pragma once

#include <cstdint>

#include "base/buffer.h"

namespace claudefs {
// `seed` is the value of the bytes before: crc32c(b, crc32c(a)) == crc32c(a+b).
std::uint32_t crc32c(ByteSpan bytes, std::uint32_t seed = 0);
}  // namespace claudefs
