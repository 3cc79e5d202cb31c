// Goal: no bytes in a shard file or in its name can make their parsers read out of bounds or contradict
// themselves.
#include <cstdint>

#include "base/check.h"
#include "store/detail/shard_format.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace claudefs;
  using namespace claudefs::store::detail;
  const ByteSpan bytes(reinterpret_cast<const std::byte*>(data), size);
  if (const auto head = parse_shard_head(bytes)) {
    CFS_CHECK(head->checksums.size() == shard_blocks(head->info.length));
    const Buffer again = encode_shard_head(head->info, head->checksums);
    CFS_CHECK(parse_shard_head(again)->checksums == head->checksums);
  }
  if (const auto info = parse_shard_file_name(as_text(bytes))) {
    CFS_CHECK(parse_shard_file_name(shard_file_name(*info))->key == info->key);
  }
  return 0;
}
