// Reproducible content for tests.
#pragma once

#include <cstdint>
#include <random>
#include <string>

#include "base/buffer.h"

namespace claudefs::codec::test {

using Rng = std::mt19937_64;

inline std::uint64_t between(Rng& rng, std::uint64_t low, std::uint64_t high) {
  return low + rng() % (high - low + 1);
}

inline Buffer random_bytes(Rng& rng, std::size_t size) {
  Buffer out = Buffer::allocate(size);
  for (std::size_t i = 0; i < size; ++i) out.data()[i] = static_cast<std::byte>(rng() >> 56);
  return out;
}

// Words drawn from a small set: about what LZ4 halves.
inline Buffer text_like(Rng& rng, std::size_t size) {
  std::string out;
  while (out.size() < size) out += "word" + std::to_string(rng() % 500) + (rng() % 8 == 0 ? ".\n" : " ");
  out.resize(size);
  return Buffer::adopt(std::move(out));
}

}  // namespace claudefs::codec::test
