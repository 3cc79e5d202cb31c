#include "store/detail/shard_format.h"

#include <algorithm>
#include <charconv>

#include "base/crc32c.h"
#include "base/zeros.h"
#include "store/detail/fixed.h"

namespace claudefs::store::detail {
namespace {
constexpr u32 kMagic = 0x48534643;  // "CFSH"
constexpr u16 kVersion = 1;

template <class T>
bool read_hex(std::string_view& rest, T& value) {
  constexpr std::size_t kDigits = 2 * sizeof(T);
  if (rest.size() < kDigits) return false;
  u64 wide = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + kDigits, wide, 16);
  if (error != std::errc() || end != rest.data() + kDigits) return false;
  value = static_cast<T>(wide);
  rest.remove_prefix(kDigits);
  return true;
}
bool read_dot(std::string_view& rest) {
  if (!rest.starts_with('.')) return false;
  rest.remove_prefix(1);
  return true;
}
}  // namespace

std::vector<u32> block_checksums(const std::vector<Buffer>& content) {
  std::vector<u32> out;
  u32 crc = 0;
  std::size_t in_block = 0;
  for (const Buffer& piece : content) {
    ByteSpan left = piece.span();
    while (!left.empty()) {
      const std::size_t n = std::min<std::size_t>(left.size(), kShardBlock - in_block);
      crc = crc32c(left.first(n), crc);
      left = left.subspan(n);
      in_block += n;
      if (in_block < kShardBlock) continue;
      out.push_back(std::exchange(crc, 0));
      in_block = 0;
    }
  }
  if (in_block != 0) out.push_back(crc);
  return out;
}

Buffer encode_shard_head(const ShardInfo& info, const std::vector<u32>& checksums) {
  Buffer head = Buffer::allocate(shard_data_at(info.length), kShardBlock);
  const MutableByteSpan out = head.mutable_span();
  std::ranges::fill(out, std::byte{0});
  const MutableByteSpan table = out.subspan(kShardHeader, 4 * checksums.size());
  for (std::size_t i = 0; i < checksums.size(); ++i) put_fixed<u32>(table, 4 * i, checksums[i]);
  put_fixed<u32>(out, 0, kMagic);
  put_fixed<u16>(out, 4, kVersion);
  put_fixed<u16>(out, 6, kShardHeader);
  put_fixed<u64>(out, 8, info.key.segment.value);
  put_fixed<u32>(out, 16, info.key.generation);
  put_fixed<u8>(out, 20, info.key.index);
  put_fixed<u32>(out, 24, info.length);
  put_fixed<u32>(out, 28, kShardBlock);
  put_fixed<u32>(out, 32, shard_data_at(info.length));
  put_fixed<u32>(out, 36, crc32c(table));
  put_fixed<u32>(out, kShardHeader - 4, crc32c(out.first(kShardHeader - 4)));
  return head;
}

Result<ShardHead> parse_shard_head(ByteSpan in) {
  if (in.size() < kShardHeader || get_fixed<u32>(in, 0) != kMagic)
    return fail(Errc::corrupt, "no shard header");
  const u16 bytes = get_fixed<u16>(in, 6);
  if (bytes < 12 || bytes > in.size() || crc32c(in.first(bytes - 4u)) != get_fixed<u32>(in, bytes - 4u))
    return fail(Errc::corrupt, "the shard header does not check");
  if (get_fixed<u16>(in, 4) != kVersion || bytes != kShardHeader)
    return fail(Errc::wrong_version, "the shard was written by another version of claudefs");
  ShardHead head;
  head.info.key = {SegmentId{get_fixed<u64>(in, 8)}, get_fixed<u8>(in, 20), get_fixed<u32>(in, 16)};
  head.info.length = get_fixed<u32>(in, 24);
  if (head.info.length > kShardBytesMax || get_fixed<u32>(in, 28) != kShardBlock ||
      get_fixed<u32>(in, 32) != shard_data_at(head.info.length) ||
      in.size() < shard_data_at(head.info.length))
    return fail(Errc::corrupt, "the shard header contradicts itself");
  const ByteSpan table = in.subspan(kShardHeader, 4 * std::size_t{shard_blocks(head.info.length)});
  if (crc32c(table) != get_fixed<u32>(in, 36))
    return fail(Errc::corrupt, "the table of checksums does not check");
  for (std::size_t at = 0; at < table.size(); at += 4) head.checksums.push_back(get_fixed<u32>(table, at));
  return head;
}

Result<ShardHead> parse_shard_head_of(const ShardInfo& info, ByteSpan in) {
  TRY_ASSIGN(ShardHead head, parse_shard_head(in));
  if (head.info.key != info.key || head.info.length != info.length)
    return fail(Errc::corrupt, "it holds another shard");
  return head;
}

Result<void> check_shard_file(const ShardInfo& info, ByteSpan file) {
  if (file.size() != shard_file_bytes(info.length))
    return fail(Errc::corrupt,
                fmt::format("{} bytes or more, not {}", file.size(), shard_file_bytes(info.length)));
  TRY_ASSIGN(const ShardHead head, parse_shard_head_of(info, file));
  const std::size_t table_end = kShardHeader + 4 * head.checksums.size();
  const ByteSpan padding = file.subspan(table_end, shard_data_at(info.length) - table_end);
  if (!all_zero(padding)) return fail(Errc::corrupt, "the bytes behind its table are not zero");
  const ByteSpan content = file.subspan(shard_data_at(info.length));
  for (u32 at = 0; at < info.length; at += kShardBlock)
    if (crc32c(content.subspan(at, std::min(kShardBlock, info.length - at))) !=
        head.checksums[at / kShardBlock])
      return fail(Errc::corrupt, fmt::format("the block at {} does not check", at));
  return {};
}

std::string shard_directory_name(SegmentId segment) { return fmt::format("{:02x}", segment.value & 0xff); }

std::string shard_file_name(const ShardInfo& info) {
  return fmt::format("{:016x}.{:08x}.{:02x}.{:08x}", info.key.segment.value, info.key.generation,
                     info.key.index, info.length);
}

std::optional<ShardInfo> parse_shard_file_name(std::string_view name) {
  ShardInfo info;
  const bool good = read_hex(name, info.key.segment.value) && read_dot(name) &&
                    read_hex(name, info.key.generation) && read_dot(name) && read_hex(name, info.key.index) &&
                    read_dot(name) && read_hex(name, info.length) && name.empty();
  if (!good || info.length > kShardBytesMax) return std::nullopt;
  return info;
}

}  // namespace claudefs::store::detail
