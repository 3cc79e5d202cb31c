#include "data/detail/segment_content.h"

#include <fmt/format.h>

#include "codec/chunk_frame.h"

namespace claudefs::data {

Result<void> check_segment_content(ByteSpan content) {
  for (std::size_t at = 0; at < content.size();) {
    const Result<std::size_t> length = codec::stored_length(content.subspan(at));
    if (!length || *length > content.size() - at)
      return fail(Errc::corrupt, fmt::format("at byte {} of the segment begins no chunk", at));
    if (const auto chunk = codec::check_chunk(content.subspan(at, *length)); !chunk)
      return fail(Errc::corrupt,
                  fmt::format("the chunk at byte {} of the segment: {}", at, chunk.error().text));
    at += *length;
  }
  return {};
}

}  // namespace claudefs::data
