#include "base/zeros.h"

#include <isa-l/mem_routines.h>

#include <cstring>

#include "base/ids.h"

namespace claudefs {

bool all_zero(ByteSpan bytes) {
  return isal_zero_detect(const_cast<std::byte*>(bytes.data()), bytes.size()) == 0;
}

std::size_t leading_zeros(ByteSpan bytes) {
  constexpr std::size_t kBlock = 4096;
  std::size_t at = 0;
  while (bytes.size() - at > kBlock && all_zero(bytes.subspan(at, kBlock))) at += kBlock;
  for (u64 word = 0; bytes.size() - at >= sizeof(word); at += sizeof(word)) {
    std::memcpy(&word, bytes.data() + at, sizeof(word));
    if (word != 0) break;
  }
  while (at < bytes.size() && bytes[at] == std::byte{0}) ++at;
  return at;
}

}  // namespace claudefs
