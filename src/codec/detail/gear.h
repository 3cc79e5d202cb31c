// The gear hash over the last 64 bytes: the chunker's and the sketches'.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace claudefs::codec::detail {

using Gear = std::array<std::uint64_t, 256>;

// One random word a byte value, from SplitMix64. Another table would put all cuts elsewhere and find nothing
// stored so far again: the seed stays.
constexpr Gear make_gear() {
  Gear table{};
  std::uint64_t state = 0x436c61756465'4653;
  for (std::uint64_t& word : table) {
    state += 0x9e3779b97f4a7c15;
    std::uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    word = z ^ (z >> 31);
  }
  return table;
}
inline constexpr Gear kGear = make_gear();

constexpr std::uint64_t roll(std::uint64_t hash, unsigned char byte) { return (hash << 1) + kGear[byte]; }

inline constexpr std::size_t kGearWindow = 64;  // a byte's share is shifted out after so many

}  // namespace claudefs::codec::detail
