// Goal: no byte stream, however cut into reads, makes the frame reader crash, hang or invent data.
// Method: the first bytes choose how the rest is cut. A frame that is accepted must encode back to a header
// that the reader accepts again as the same.
#include <cstdlib>

#include "net/detail/frame_reader.h"

using namespace claudefs;
using namespace claudefs::net;

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  if (size < 2) return 0;
  const std::size_t step = 1 + data[0] + 256u * (data[1] & 31u);
  ByteSpan rest = std::as_bytes(std::span(data, size)).subspan(2);
  constexpr std::size_t kLimit = 1u << 20;
  detail::FrameReader reader(kLimit);
  for (;;) {
    Result<std::optional<Frame>> frame = reader.next();
    if (!frame) return 0;
    if (*frame) {
      const FrameHeader& header = (*frame)->header;
      if ((*frame)->body.size() != header.body_bytes || (*frame)->payload.size() != header.payload_bytes)
        std::abort();
      const FrameHeaderBytes bytes = encode_header(header);
      Result<FrameHeader> again = decode_header(bytes, kLimit);
      if (!again || *again != header) std::abort();
      continue;
    }
    if (rest.empty()) return 0;
    const MutableByteSpan space = reader.space();
    if (space.empty()) std::abort();
    const std::size_t part = std::min({step, space.size(), rest.size()});
    std::memcpy(space.data(), rest.data(), part);
    reader.filled(part);
    rest = rest.subspan(part);
  }
}
