#include "runtime/detail/system_random.h"

#include <sys/random.h>

#include <bit>
#include <cerrno>

namespace claudefs::runtime::detail {

SystemRandom::SystemRandom() {
  fill_secret({reinterpret_cast<std::byte*>(state_), sizeof state_});
  state_[0] |= 1;  // all zeros would stay zeros
}

// xoshiro256** (Blackman and Vigna): four words, good in every bit, not for secrets.
u64 SystemRandom::next() {
  const u64 result = std::rotl(state_[1] * 5, 7) * 9;
  const u64 mixed = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= mixed;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

void SystemRandom::fill_secret(MutableByteSpan out) {
  while (!out.empty()) {
    const ssize_t got = ::getrandom(out.data(), out.size(), 0);
    CFS_CHECK(got > 0 || errno == EINTR);
    if (got > 0) out = out.subspan(static_cast<std::size_t>(got));
  }
}

}  // namespace claudefs::runtime::detail
