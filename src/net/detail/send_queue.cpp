#include "net/detail/send_queue.h"

#include <utility>

namespace claudefs::net::detail {
namespace {
constexpr std::size_t kBlockBytes = 32u << 10;
constexpr std::size_t kCopyBytes = 4u << 10;  // below this a copy is cheaper than a piece
}  // namespace

void SendQueue::push(FrameHeader header, const Buffer& body, const Buffer& payload) {
  header.body_bytes = static_cast<u32>(body.size());
  header.payload_bytes = static_cast<u32>(payload.size());
  header.content_crc = content_crc(body, payload);
  copy_in(encode_header(header));
  for (const Buffer* part : {&body, &payload}) {
    if (part->size() <= kCopyBytes) {
      copy_in(*part);
    } else {
      close_piece();
      pieces_.push_back(*part);
    }
  }
  queued_bytes_ += kFrameHeaderBytes + header.content_bytes();
}

std::vector<Buffer> SendQueue::take() {
  close_piece();
  taken_bytes_ += std::exchange(queued_bytes_, 0);
  return std::exchange(pieces_, {});
}

void SendQueue::copy_in(ByteSpan bytes) {
  if (bytes.empty()) return;
  if (block_.size() - used_ < bytes.size()) {
    close_piece();
    block_ = Buffer::allocate(kBlockBytes);
    open_at_ = used_ = 0;
  }
  std::memcpy(block_.data() + used_, bytes.data(), bytes.size());
  used_ += bytes.size();
}

void SendQueue::close_piece() {
  if (open_at_ == used_) return;
  pieces_.push_back(block_.slice(open_at_, used_ - open_at_));
  open_at_ = used_;
}

}  // namespace claudefs::net::detail
