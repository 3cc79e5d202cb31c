#include "client/detail/state.h"

namespace claudefs::client {

namespace {

constexpr u64 kPiece = 1_MiB;

}  // namespace

// Through this client's buffers: equal chunks are found again when they are stored, so content that was cut
// alike is not sent.
Task<Result<u64>> FileSystem::copy_range(CopyRequest request) {
  u64 copied = 0;
  while (copied < request.length) {
    const u64 piece = std::min(kPiece, request.length - copied);
    const ReadResult got = co_await read(request.from, request.from_offset + copied, piece);
    if (got.pieces.empty()) break;
    for (const Buffer& part : got.pieces) {
      co_await write(request.to, request.to_offset + copied, part);
      copied += part.size();
    }
  }
  co_return copied;
}

}  // namespace claudefs::client
