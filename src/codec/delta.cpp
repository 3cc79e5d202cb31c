#include "codec/delta.h"

#include <zstd.h>

#include <algorithm>
#include <bit>
#include <memory>

#include "base/check.h"

namespace claudefs::codec {

namespace {
// As what is packed alone. Deltas are a twentieth shorter than at 3, of what hardly differs from its base as
// well as of what only has words in common with it.
constexpr int kDeltaLevel = 9;
// Content that repeats itself has so many short matches near by that the ordinary search never comes to the
// long one in the base: one place of 128 there is entered with the 32 bytes that it begins with, and looked
// for first.
constexpr int kDeltaMatch = 32;
constexpr int kDeltaRateLog = 7;
constexpr int kWindowLogLeast = 10;  // of zstd

struct FreeContext {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};
}  // namespace

std::size_t compress_delta(ByteSpan plain, ByteSpan base, MutableByteSpan out) {
  const std::unique_ptr<ZSTD_CCtx, FreeContext> context(ZSTD_createCCtx());
  CFS_CHECK(context != nullptr);
  // The window must reach from the end of the content to the beginning of the base.
  const int window = std::max<int>(kWindowLogLeast, std::bit_width(plain.size() + base.size()));
  const std::size_t set[] = {
      ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, kDeltaLevel),
      ZSTD_CCtx_setParameter(context.get(), ZSTD_c_windowLog, window),
      ZSTD_CCtx_setParameter(context.get(), ZSTD_c_enableLongDistanceMatching, 1),
      ZSTD_CCtx_setParameter(context.get(), ZSTD_c_ldmMinMatch, kDeltaMatch),
      ZSTD_CCtx_setParameter(context.get(), ZSTD_c_ldmHashRateLog, kDeltaRateLog),
      ZSTD_CCtx_refPrefix(context.get(), base.data(), base.size()),
  };
  for (const std::size_t code : set) CFS_CHECK(ZSTD_isError(code) == 0);
  const std::size_t got = ZSTD_compress2(context.get(), out.data(), out.size(), plain.data(), plain.size());
  return ZSTD_isError(got) != 0 ? 0 : got;
}

Result<> decompress_delta(ByteSpan packed, ByteSpan base, MutableByteSpan out) {
  const std::unique_ptr<ZSTD_DCtx, FreeContext> context(ZSTD_createDCtx());
  CFS_CHECK(context != nullptr);
  CFS_CHECK(ZSTD_isError(ZSTD_DCtx_refPrefix(context.get(), base.data(), base.size())) == 0);
  const std::size_t got =
      ZSTD_decompressDCtx(context.get(), out.data(), out.size(), packed.data(), packed.size());
  if (ZSTD_isError(got) != 0 || got != out.size())
    return fail(Errc::corrupt, "zstd frame does not give with its base the length it should");
  return {};
}

}  // namespace claudefs::codec
