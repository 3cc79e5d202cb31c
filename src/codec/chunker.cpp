#include "codec/chunker.h"

#include <algorithm>
#include <bit>

#include "base/check.h"
#include "codec/detail/gear.h"

namespace claudefs::codec {

namespace {

// The hash's top bits have seen all of the last 64 bytes, so a comparison looks at those.
constexpr std::uint64_t bound_for(unsigned bits) { return std::uint64_t{1} << (64 - bits); }

using detail::kGearWindow;
using detail::roll;

constexpr std::size_t kHalf = 1024;

// Rolls `hash` over 2 * kHalf bytes if there is no cut within, else leaves it. Each step waits for the one
// before, which keeps a core half idle; so the block's second half goes along at the same time, its hash
// warmed up with the window before it.
bool skip_block(const unsigned char* block, std::uint64_t& hash, std::uint64_t bound) {
  const unsigned char* second = block + kHalf;
  std::uint64_t first_hash = hash;
  std::uint64_t second_hash = 0;
  for (const unsigned char* at = second - kGearWindow; at != second; ++at)
    second_hash = roll(second_hash, *at);
  const auto cut_at = [&](std::size_t i) {
    first_hash = roll(first_hash, block[i]);
    second_hash = roll(second_hash, second[i]);
    return first_hash < bound || second_hash < bound;
  };
  for (std::size_t i = 0; i < kHalf; i += 4)
    if (cut_at(i) || cut_at(i + 1) || cut_at(i + 2) || cut_at(i + 3)) [[unlikely]]
      return false;
  hash = second_hash;
  return true;
}

struct Scan {
  std::size_t at;      // the byte after the last one read
  std::uint64_t hash;  // there
  bool cut;
};

// Rolls the hash over [at, end) and stops behind the first byte that brings it below `bound`.
Scan scan(const unsigned char* data, Scan from, std::size_t end, std::uint64_t bound) {
  auto [at, hash, cut] = from;
  while (end - at >= 2 * kHalf && skip_block(data + at, hash, bound)) at += 2 * kHalf;
  while (at < end) {
    hash = roll(hash, data[at++]);
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
    done = scan(bytes, done, std::min(end, early_end_), early_bound_);
  if (!done.cut && done.at >= early_end_) done = scan(bytes, done, end, late_bound_);

  if (done.cut || done.at == limits_.most || (at_end && done.at == data.size())) {
    reset();
    return done.at;
  }
  scanned_ = done.at;
  hash_ = done.hash;
  return 0;
}

}  // namespace claudefs::codec
