// A segment's bytes are stored chunks, one behind the other (docs/formats/chunk.md): what can be told of them
// without a key.
#pragma once

#include "base/buffer.h"
#include "base/result.h"

namespace claudefs::data {

// Every chunk's own checksum holds, to the end. Errors: corrupt, naming the offset.
Result<void> check_segment_content(ByteSpan content);

}  // namespace claudefs::data
