// Secret keys: 32 bytes that are overwritten when they go out of scope, and compared in constant time.
//
// Copies are allowed, and each is overwritten by itself. Never log one; what wire::encode makes of one is
// secret too.
#pragma once

#include <array>
#include <cstddef>
#include <tuple>

namespace claudefs::codec {

struct SecretKey {
  std::array<std::byte, 32> bytes{};

  ~SecretKey();
  bool operator==(const SecretKey& other) const;
  static auto fields(auto& self) { return std::tie(self.bytes); }
};

// The secret of one dedupe domain: all volumes that may share chunks have the same. It is drawn at random
// when the domain is made, and every other key of a chunk comes from it (docs/formats/chunk.md).
struct DomainKey : SecretKey {};

}  // namespace claudefs::codec
