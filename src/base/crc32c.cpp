#include "base/crc32c.h"

#include <isa-l/crc.h>

namespace claudefs {
std::uint32_t crc32c(ByteSpan bytes, std::uint32_t seed) {
  if (bytes.empty()) return seed;
  auto* data = reinterpret_cast<unsigned char*>(const_cast<std::byte*>(bytes.data()));
  return ~crc32_iscsi(data, static_cast<int>(bytes.size()), ~seed);
}
}  // namespace claudefs
