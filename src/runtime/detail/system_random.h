// Random numbers: a fast generator that the kernel seeded; secrets from the kernel itself.
#pragma once

#include "runtime/env.h"

namespace claudefs::runtime::detail {

class SystemRandom final : public Random {
 public:
  SystemRandom();
  u64 next() override;
  void fill_secret(MutableByteSpan out) override;

 private:
  u64 state_[4];
};

}  // namespace claudefs::runtime::detail
