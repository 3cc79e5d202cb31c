// Little-endian integers at fixed places, for on-disk headers.
#pragma once

#include "base/buffer.h"
#include "base/ids.h"

namespace claudefs::store::detail {

template <class T>
void put_fixed(MutableByteSpan out, std::size_t at, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) out[at + i] = static_cast<std::byte>(value >> (8 * i));
}
template <class T>
T get_fixed(ByteSpan in, std::size_t at) {
  u64 value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) value |= u64{static_cast<u8>(in[at + i])} << (8 * i);
  return static_cast<T>(value);
}
constexpr u64 round_up(u64 value, u64 unit) { return (value + unit - 1) / unit * unit; }

}  // namespace claudefs::store::detail
