#include "codec/sketch.h"

#include <algorithm>

#include "codec/detail/blake3.h"
#include "codec/detail/gear.h"

namespace claudefs::codec {
namespace {

using detail::kGearWindow;
using detail::roll;

constexpr std::size_t kMapsAFeature = 2;
constexpr std::size_t kMaps = kSketchFeatures * kMapsAFeature;
constexpr std::uint64_t kSampled = std::uint64_t{1} << 58;  // a hash below: one in 64

struct Map {
  std::uint64_t factor = 0, term = 0;
};
constexpr std::array<Map, kMaps> make_maps() {
  std::array<Map, kMaps> maps{};
  for (std::size_t i = 0; i < kMaps; ++i) {
    maps[i].factor = detail::kGear[2 * i] | 1;  // odd: nothing is lost
    maps[i].term = detail::kGear[2 * i + 1];
  }
  return maps;
}
constexpr std::array<Map, kMaps> kAllMaps = make_maps();

struct Sampled {
  std::array<std::uint64_t, kMaps> largest{};
  bool any = false;

  void take(std::uint64_t hash) {
    any = true;
    for (std::size_t i = 0; i < kMaps; ++i)
      largest[i] = std::max(largest[i], hash * kAllMaps[i].factor + kAllMaps[i].term);
  }
};

// Each step waits for the one before: several stretches at once keep a core busy. What is largest does not
// depend on the order.
constexpr std::size_t kLanes = 4;

void sample(const unsigned char* bytes, std::size_t size, Sampled& out) {
  if (size < kGearWindow) return;
  const std::size_t windows = size - kGearWindow + 1;
  const std::size_t stretch = windows / kLanes;
  std::array<std::uint64_t, kLanes> hash{};
  std::array<const unsigned char*, kLanes> at{};
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    at[lane] = bytes + lane * stretch;
    for (std::size_t i = 0; i + 1 < kGearWindow; ++i) hash[lane] = roll(hash[lane], *at[lane]++);
  }
  for (std::size_t i = 0; i < stretch; ++i)
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      hash[lane] = roll(hash[lane], at[lane][i]);
      if (hash[lane] < kSampled) [[unlikely]]
        out.take(hash[lane]);
    }
  // The last lane goes on over what the division left.
  for (std::size_t i = stretch; i < stretch + windows % kLanes; ++i) {
    hash.back() = roll(hash.back(), at.back()[i]);
    if (hash.back() < kSampled) out.take(hash.back());
  }
}

}  // namespace

std::optional<Sketch> sketch_chunk(const DomainKey& domain, ByteSpan plain) {
  Sampled sampled;
  sample(reinterpret_cast<const unsigned char*>(plain.data()), plain.size(), sampled);
  if (!sampled.any) return std::nullopt;
  const SecretKey key = detail::derive_key(domain, "claudefs chunk sketch v2");
  Sketch out{};
  for (std::size_t i = 0; i < kSketchFeatures; ++i) {
    std::array<std::byte, kMapsAFeature * 8 + 1> input{};
    input.back() = static_cast<std::byte>(i);
    for (std::size_t n = 0; n < kMapsAFeature; ++n)
      for (std::size_t byte = 0; byte < 8; ++byte)
        input[n * 8 + byte] = static_cast<std::byte>(sampled.largest[i * kMapsAFeature + n] >> (8 * byte));
    std::array<std::byte, 8> digest{};
    detail::keyed_hash(key, {input}, digest);
    for (std::size_t byte = 0; byte < 8; ++byte)
      out[i] |= static_cast<std::uint64_t>(digest[byte]) << (8 * byte);
  }
  return out;
}

}  // namespace claudefs::codec
