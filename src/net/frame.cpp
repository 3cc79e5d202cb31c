#include "net/frame.h"

#include <fmt/format.h>

#include "base/crc32c.h"

namespace claudefs::net {
namespace {

constexpr u32 kMagic = 0x52534643;  // "CFSR"
constexpr u8 kFrameVersion = 1;
constexpr std::size_t kCheckedBytes = 36;

template <class T>
void store(FrameHeaderBytes& out, std::size_t at, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) out[at + i] = static_cast<std::byte>(value >> (8 * i));
}
template <class T>
T load(ByteSpan in, std::size_t at) {
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i)
    value |= static_cast<T>(T{static_cast<u8>(in[at + i])} << (8 * i));
  return value;
}

}  // namespace

FrameHeaderBytes encode_header(const FrameHeader& header) {
  FrameHeaderBytes out{};
  store<u32>(out, 0, kMagic);
  store<u8>(out, 4, kFrameVersion);
  store<u8>(out, 5, static_cast<u8>(header.type));
  store<u64>(out, 8, header.call);
  store<u16>(out, 16, header.method);
  store<u32>(out, 20, header.deadline_ms);
  store<u32>(out, 24, header.body_bytes);
  store<u32>(out, 28, header.payload_bytes);
  store<u32>(out, 32, header.content_crc);
  store<u32>(out, kCheckedBytes, crc32c(ByteSpan(out).first(kCheckedBytes)));
  return out;
}

Result<FrameHeader> decode_header(std::span<const std::byte, kFrameHeaderBytes> bytes,
                                  std::size_t content_max) {
  if (load<u32>(bytes, 0) != kMagic)
    return fail(Errc::corrupt, "not a claudefs frame: is this a claudefs port?");
  if (load<u32>(bytes, kCheckedBytes) != crc32c(bytes.first<kCheckedBytes>()))
    return fail(Errc::corrupt, "the frame header's checksum does not hold");
  if (const u8 version = load<u8>(bytes, 4); version != kFrameVersion)
    return fail(Errc::wrong_version,
                fmt::format("frame version {}, only {} is known here", version, kFrameVersion));
  const u8 type = load<u8>(bytes, 5);
  if (type < static_cast<u8>(FrameType::hello) || type > static_cast<u8>(FrameType::pong))
    return fail(Errc::corrupt, fmt::format("unknown frame type {}", type));
  if (load<u16>(bytes, 6) != 0 || load<u16>(bytes, 18) != 0)
    return fail(Errc::wrong_version, "the frame carries flags that are not known here");
  FrameHeader header{.type = static_cast<FrameType>(type),
                     .call = load<u64>(bytes, 8),
                     .method = load<u16>(bytes, 16),
                     .deadline_ms = load<u32>(bytes, 20),
                     .body_bytes = load<u32>(bytes, 24),
                     .payload_bytes = load<u32>(bytes, 28),
                     .content_crc = load<u32>(bytes, 32)};
  if (header.content_bytes() > content_max)
    return fail(Errc::too_big,
                fmt::format("a frame of {} bytes, the limit is {}", header.content_bytes(), content_max));
  return header;
}

u32 content_crc(ByteSpan body, ByteSpan payload) { return crc32c(payload, crc32c(body)); }

}  // namespace claudefs::net
