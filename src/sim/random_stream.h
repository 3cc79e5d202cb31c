// Counter-based randomness: draw n of a stream is a function of (seed, name, owner, n) and nothing else,
// so a draw added to one stream shifts no other.
#pragma once

#include <string_view>

#include "base/ids.h"
#include "runtime/env.h"

namespace claudefs::sim {

// A bijective mixer (the finaliser of SplitMix64).
constexpr u64 mix(u64 x) {
  x += 0x9E3779B97F4A7C15ull;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
  return x ^ (x >> 31);
}

class RandomStream final : public runtime::Random {
 public:
  RandomStream(u64 seed, std::string_view name, u64 owner = 0) : key_(mix(seed)) {
    for (const char c : name) key_ = mix(key_ ^ static_cast<unsigned char>(c));
    key_ = mix(key_ ^ owner);
  }
  u64 next() override { return mix(key_ ^ mix(counter_++)); }
  // Not secret here: reproducible.
  void fill_secret(MutableByteSpan out) override {
    for (std::byte& b : out) b = static_cast<std::byte>(next());
  }
  bool chance(u32 per_million) { return per_million != 0 && next() % 1'000'000 < per_million; }
  bool coin() { return (next() & 1) != 0; }
  runtime::Duration between_times(runtime::Duration low, runtime::Duration high) {
    return runtime::Duration(
        static_cast<i64>(between(static_cast<u64>(low.count()), static_cast<u64>(high.count()))));
  }

 private:
  u64 key_;
  u64 counter_ = 0;
};

}  // namespace claudefs::sim
