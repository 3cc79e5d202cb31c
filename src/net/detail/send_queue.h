// Frames that wait for the writer, ready for one vectored write.
//
// Headers and small contents are copied one behind the other into a block, so that many small frames make
// one piece; larger contents are pieces of their own and are not copied.
#pragma once

#include <vector>

#include "net/frame.h"

namespace claudefs::net::detail {

class SendQueue {
 public:
  // Sets the header's lengths and checksum from the content.
  void push(FrameHeader header, const Buffer& body, const Buffer& payload);
  bool empty() const { return pieces_.empty() && open_at_ == used_; }
  // Everything queued, in order. The bytes count as waiting until written() is told.
  std::vector<Buffer> take();
  void written() { taken_bytes_ = 0; }
  std::size_t waiting_bytes() const { return queued_bytes_ + taken_bytes_; }
  std::size_t taken_bytes() const { return taken_bytes_; }

 private:
  void copy_in(ByteSpan bytes);
  void close_piece();

  std::vector<Buffer> pieces_;
  Buffer block_;
  std::size_t open_at_ = 0;  // [open_at_, used_) of the block is the piece being filled
  std::size_t used_ = 0;
  std::size_t queued_bytes_ = 0;
  std::size_t taken_bytes_ = 0;
};

}  // namespace claudefs::net::detail
