#include "codec/compress.h"

#include <lz4.h>

#include <algorithm>
#include <array>

#include "base/check.h"

namespace claudefs::codec {

namespace {
constexpr std::size_t kSampleSize = 4096;
constexpr std::size_t kSamples = 3;

int pack(ByteSpan plain, MutableByteSpan out) {
  return LZ4_compress_default(reinterpret_cast<const char*>(plain.data()),
                              reinterpret_cast<char*>(out.data()), static_cast<int>(plain.size()),
                              static_cast<int>(out.size()));
}
}  // namespace

std::size_t compressed_room(std::size_t plain_size) {
  return plain_size - std::min(plain_size, std::max<std::size_t>(1, plain_size / 16));
}

bool looks_compressible(ByteSpan plain) {
  // For little more than the samples themselves, just trying is as cheap.
  if (plain.size() <= 2 * kSamples * kSampleSize) return true;
  std::array<std::byte, kSampleSize> out;
  const std::size_t stride = (plain.size() - kSampleSize) / (kSamples - 1);
  for (std::size_t i = 0; i < kSamples; ++i) {
    const ByteSpan sample = plain.subspan(i * stride, kSampleSize);
    if (pack(sample, MutableByteSpan(out).first(compressed_room(kSampleSize))) > 0) return true;
  }
  return false;
}

std::size_t compress_lz4(ByteSpan plain, MutableByteSpan out) {
  CFS_CHECK(plain.size() <= LZ4_MAX_INPUT_SIZE && out.size() >= compressed_room(plain.size()));
  if (plain.empty() || !looks_compressible(plain)) return 0;
  return static_cast<std::size_t>(pack(plain, out.first(compressed_room(plain.size()))));
}

Result<> decompress_lz4(ByteSpan packed, MutableByteSpan out) {
  CFS_CHECK(packed.size() <= LZ4_MAX_INPUT_SIZE && out.size() <= LZ4_MAX_INPUT_SIZE);
  const int got =
      LZ4_decompress_safe(reinterpret_cast<const char*>(packed.data()), reinterpret_cast<char*>(out.data()),
                          static_cast<int>(packed.size()), static_cast<int>(out.size()));
  if (got < 0 || static_cast<std::size_t>(got) != out.size())
    return fail(Errc::corrupt, "LZ4 block does not give the length it should");
  return {};
}

}  // namespace claudefs::codec
