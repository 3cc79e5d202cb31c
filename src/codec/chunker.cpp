#include "codec/chunker.h"

#include <algorithm>
#include <array>
#include <bit>

#include "base/check.h"

namespace claudefs::codec {

namespace {

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
constexpr Gear kGear = make_gear();

// The hash's top bits have seen all of the last 64 bytes, so a comparison looks at those.
constexpr std::uint64_t bound_for(unsigned bits) { return std::uint64_t{1} << (64 - bits); }

struct Scan {
  std::size_t at;      // the byte after the last one read
  std::uint64_t hash;  // there
  bool cut;
};

// Rolls the hash over [at, end) and stops behind the first byte that brings it below `bound`.
Scan scan(const unsigned char* data, std::size_t at, std::size_t end, std::uint64_t hash,
          std::uint64_t bound) {
  // Each step is hash = 2 * hash + gear. Four written out, so that only one shift and one addition for four
  // bytes wait for the step before.
  while (end - at >= 4) {
    const std::uint64_t a = kGear[data[at]];
    const std::uint64_t b = (a << 1) + kGear[data[at + 1]];
    const std::uint64_t c = (b << 1) + kGear[data[at + 2]];
    const std::uint64_t d = (c << 1) + kGear[data[at + 3]];
    const std::uint64_t h1 = (hash << 1) + a;
    const std::uint64_t h2 = (hash << 2) + b;
    const std::uint64_t h3 = (hash << 3) + c;
    const std::uint64_t h4 = (hash << 4) + d;
    if (std::min(std::min(h1, h2), std::min(h3, h4)) < bound) [[unlikely]]
      break;
    hash = h4;
    at += 4;
  }
  while (at < end) {
    hash = (hash << 1) + kGear[data[at++]];
    if (hash < bound) return {at, hash, true};
  }
  return {at, hash, false};
}

}  // namespace

Chunker::Chunker(ChunkLimits limits) : limits_(limits) {
  CFS_CHECK(limits.least >= 64 && limits.least < limits.target && limits.target <= limits.most);
  CFS_CHECK(std::has_single_bit(limits.target) && limits.target >= 256);
  // With these the default's average comes out at the target, and one chunk in a hundred meets the upper
  // limit.
  const unsigned bits = std::bit_width(limits.target) - 1;
  early_end_ = limits.least + (limits.target - limits.least) / 4 * 3;
  early_bound_ = bound_for(bits);
  late_bound_ = bound_for(bits - 2);
}

void Chunker::reset() {
  scanned_ = 0;
  hash_ = 0;
}

std::size_t Chunker::next_cut(ByteSpan data, bool at_end) {
  CFS_CHECK(data.size() >= scanned_);
  const auto* bytes = reinterpret_cast<const unsigned char*>(data.data());
  const std::size_t end = std::min(data.size(), limits_.most);

  Scan done{std::max(scanned_, std::min(limits_.least, end)), hash_, false};
  if (done.at < early_end_ && done.at < end)
    done = scan(bytes, done.at, std::min(end, early_end_), done.hash, early_bound_);
  if (!done.cut && done.at >= early_end_) done = scan(bytes, done.at, end, done.hash, late_bound_);

  if (done.cut || done.at == limits_.most || (at_end && done.at == data.size())) {
    reset();
    return done.at;
  }
  scanned_ = done.at;
  hash_ = done.hash;
  return 0;
}

}  // namespace claudefs::codec
