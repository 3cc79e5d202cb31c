// The name of a chunk: keyed BLAKE3-256 of its content under its dedupe domain.
//
// Equal content in one domain has one name; without the domain key the name tells nothing about the content.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>

#include "base/buffer.h"
#include "codec/secret_key.h"

namespace claudefs::codec {

struct ChunkHash {
  std::array<std::byte, 32> bytes{};

  auto operator<=>(const ChunkHash&) const = default;
  // 64 lower-case digits.
  std::string to_hex() const;
  // The inverse; nothing for what is not 64 hexadecimal digits.
  static std::optional<ChunkHash> from_hex(std::string_view hex);
  // Evenly spread, the same on every node: for sharding by hash.
  std::uint64_t prefix() const {
    std::uint64_t out = 0;
    for (int i = 0; i < 8; ++i) out = out << 8 | static_cast<std::uint64_t>(bytes[i]);
    return out;
  }
  static auto fields(auto& self) { return std::tie(self.bytes); }
};

// Pure and thread-safe.
ChunkHash hash_chunk(const DomainKey& domain, ByteSpan content);

}  // namespace claudefs::codec

template <>
struct std::hash<claudefs::codec::ChunkHash> {
  std::size_t operator()(const claudefs::codec::ChunkHash& hash) const noexcept { return hash.prefix(); }
};
