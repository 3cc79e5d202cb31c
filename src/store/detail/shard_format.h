// Bytes and names of shard files, as docs/formats/shard.md describes them. Pure: no I/O.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/shard_store.h"

namespace claudefs::store::detail {

inline constexpr u32 kShardBlock = 4096;
inline constexpr u32 kShardHeader = 64;
inline constexpr u32 kShardBytesMax = 64u << 20;  // of content

constexpr u32 shard_blocks(u32 length) { return (length + kShardBlock - 1) / kShardBlock; }
// Where the content begins: behind the header and the table of block checksums, on a block boundary.
constexpr u32 shard_data_at(u32 length) {
  return (kShardHeader + 4 * shard_blocks(length) + kShardBlock - 1) / kShardBlock * kShardBlock;
}
constexpr u64 shard_file_bytes(u32 length) { return u64{shard_data_at(length)} + length; }

// Checksums of the content's blocks, whatever the pieces' borders.
std::vector<u32> block_checksums(const std::vector<Buffer>& content);
// shard_data_at(length) bytes.
Buffer encode_shard_head(const ShardInfo& info, const std::vector<u32>& checksums);

struct ShardHead {
  ShardInfo info;
  std::vector<u32> checksums;
};
// `bytes` begins with the whole head. Errors: corrupt, wrong_version.
Result<ShardHead> parse_shard_head(ByteSpan bytes);
// The same, and it must be that shard's.
Result<ShardHead> parse_shard_head_of(const ShardInfo& info, ByteSpan bytes);
// `file` is all of that shard's file. Errors: corrupt, wrong_version.
Result<void> check_shard_file(const ShardInfo& info, ByteSpan file);

// "3f" and "000000000000003f.00000001.02.00080000" (segment, generation, index, length).
std::string shard_directory_name(SegmentId segment);
std::string shard_file_name(const ShardInfo& info);
std::optional<ShardInfo> parse_shard_file_name(std::string_view name);

}  // namespace claudefs::store::detail
