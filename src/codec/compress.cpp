#include "codec/compress.h"

#include <lz4.h>
#include <zstd.h>

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

std::size_t compress_lz4(ByteSpan plain, MutableByteSpan out) {
  CFS_CHECK(plain.size() <= LZ4_MAX_INPUT_SIZE);
  return looks_compressible(plain) ? static_cast<std::size_t>(pack(plain, out)) : 0;
}

// It looks by itself whether it pays, and finds what LZ4's samples do not show.
std::size_t compress_zstd(int level, ByteSpan plain, MutableByteSpan out) {
  const std::size_t got = ZSTD_compress(out.data(), out.size(), plain.data(), plain.size(), level);
  return ZSTD_isError(got) != 0 ? 0 : got;
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

std::size_t compress(const Compression& how, ByteSpan plain, MutableByteSpan out) {
  CFS_CHECK(out.size() >= compressed_room(plain.size()));
  if (plain.empty() || how.by == Compressor::none) return 0;
  const MutableByteSpan room = out.first(compressed_room(plain.size()));
  return how.by == Compressor::zstd ? compress_zstd(how.level, plain, room) : compress_lz4(plain, room);
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

Result<> decompress_zstd(ByteSpan packed, MutableByteSpan out) {
  const std::size_t got = ZSTD_decompress(out.data(), out.size(), packed.data(), packed.size());
  if (ZSTD_isError(got) != 0 || got != out.size())
    return fail(Errc::corrupt, "zstd frame does not give the length it should");
  return {};
}

}  // namespace claudefs::codec
