// Goal: no bytes in a superblock can make its parser read out of bounds, or give what it would not write.
#include <cstdint>
#include <vector>

#include "base/check.h"
#include "base/crc32c.h"
#include "store/detail/fixed.h"
#include "store/detail/superblock_format.h"

namespace {
using namespace claudefs;
using namespace claudefs::store::detail;

void check(ByteSpan bytes) {
  const auto parsed = parse_superblock(bytes);
  if (!parsed) return;
  const Buffer again = encode_superblock(*parsed);
  CFS_CHECK(*parse_superblock(again) == *parsed);
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteSpan bytes(reinterpret_cast<const std::byte*>(data), size);
  check(bytes);
  if (size < 16) return 0;
  // With a checksum that holds, so that the content is looked at.
  std::vector<std::byte> good(bytes.begin(), bytes.end());
  put_fixed<u32>(good, 8, static_cast<u32>(size - 16));
  put_fixed<u32>(good, 12, crc32c(ByteSpan(good).subspan(16), crc32c(ByteSpan(good).first(12))));
  check(good);
  return 0;
}
