// The header of every RPC frame: docs/formats/rpc.md. Pure: bytes in, bytes out.
#pragma once

#include <array>

#include "base/buffer.h"
#include "base/ids.h"
#include "base/result.h"

namespace claudefs::net {

// On the wire: never renumber.
enum class FrameType : u8 { hello = 1, request = 2, reply = 3, error = 4, ping = 5, pong = 6 };

struct FrameHeader {
  FrameType type = FrameType::request;
  u64 call = 0;
  u16 method = 0;
  u32 deadline_ms = 0;  // time left; 0: none
  u32 body_bytes = 0;
  u32 payload_bytes = 0;
  u32 content_crc = 0;

  u64 content_bytes() const { return u64{body_bytes} + payload_bytes; }
  bool operator==(const FrameHeader&) const = default;
};
struct Frame {
  FrameHeader header;
  Buffer body;
  Buffer payload;
};

inline constexpr std::size_t kFrameHeaderBytes = 40;
using FrameHeaderBytes = std::array<std::byte, kFrameHeaderBytes>;

FrameHeaderBytes encode_header(const FrameHeader& header);
// Errors: corrupt (magic, checksum, unknown type), wrong_version, too_big (content above `content_max`).
Result<FrameHeader> decode_header(std::span<const std::byte, kFrameHeaderBytes> bytes,
                                  std::size_t content_max);

u32 content_crc(ByteSpan body, ByteSpan payload);

}  // namespace claudefs::net
