// Zeros: what disks, logs and files have where nothing was written.
#pragma once

#include "base/buffer.h"

namespace claudefs {

bool all_zero(ByteSpan bytes);

// How many zeros `bytes` begin with.
std::size_t leading_zeros(ByteSpan bytes);

}  // namespace claudefs
