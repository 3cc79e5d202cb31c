// What every fuzz target of wire messages requires: bytes that decode encode to something that decodes to the
// same. For the fuzz/ directories of any module.
#pragma once

#include <algorithm>
#include <cstdlib>

#include "wire/codec.h"

namespace claudefs::wire {

// The envelope is made good around `fields`, or the fuzzer would have to guess its length.
template <class T>
void require_round_trip(ByteSpan fields) {
  Writer out;
  out.byte(1);
  out.byte(1);
  out.fixed32(static_cast<u32>(fields.size()));
  out.raw(fields);
  const Result<T> first = decode<T>(std::move(out).finish());
  if (!first) return;
  const Buffer stored = encode(*first);
  const Result<T> again = decode<T>(stored);
  if (!again || !std::ranges::equal(encode(*again).span(), stored.span())) std::abort();
}

// The first byte of the input picks the type, the rest is its fields.
template <class... T>
void require_round_trips(ByteSpan input) {
  if (input.empty()) return;
  const std::size_t pick = static_cast<std::size_t>(input[0]) % sizeof...(T);
  std::size_t at = 0;
  ((at++ == pick ? require_round_trip<T>(input.subspan(1)) : void()), ...);
}

}  // namespace claudefs::wire
