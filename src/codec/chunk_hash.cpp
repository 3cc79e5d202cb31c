#include "codec/chunk_hash.h"

#include "codec/detail/blake3.h"

namespace claudefs::codec {

namespace {
int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}
}  // namespace

std::string ChunkHash::to_hex() const {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(2 * bytes.size());
  for (const std::byte b : bytes) {
    out.push_back(kDigits[static_cast<unsigned>(b) >> 4]);
    out.push_back(kDigits[static_cast<unsigned>(b) & 15]);
  }
  return out;
}

std::optional<ChunkHash> ChunkHash::from_hex(std::string_view hex) {
  ChunkHash out;
  if (hex.size() != 2 * out.bytes.size()) return {};
  for (std::size_t i = 0; i < out.bytes.size(); ++i) {
    const int high = digit_of(hex[2 * i]);
    const int low = digit_of(hex[2 * i + 1]);
    if (high < 0 || low < 0) return {};
    out.bytes[i] = static_cast<std::byte>(high << 4 | low);
  }
  return out;
}

ChunkHash hash_chunk(const DomainKey& domain, ByteSpan content) {
  const SecretKey key = detail::derive_key(domain, "claudefs chunk hash v1");
  ChunkHash out;
  detail::keyed_hash(key, {content}, out.bytes);
  return out;
}

}  // namespace claudefs::codec
