// The part of a list of buffers that is still to be written, as iovecs for one system call.
#pragma once

#include <sys/uio.h>

#include <vector>

#include "base/buffer.h"

namespace claudefs::runtime::detail {

class PendingPieces {
 public:
  explicit PendingPieces(const std::vector<Buffer>& pieces) {
    for (const Buffer& piece : pieces)
      if (!piece.empty()) vectors_.push_back({const_cast<std::byte*>(piece.data()), piece.size()});
  }
  bool empty() const { return first_ == vectors_.size(); }
  iovec* data() { return vectors_.data() + first_; }
  // Limited to what one call takes (IOV_MAX).
  unsigned count() const {
    constexpr std::size_t kMost = 1024;
    const std::size_t left = vectors_.size() - first_;
    return static_cast<unsigned>(left < kMost ? left : kMost);
  }
  void advance(std::size_t written) {
    while (written != 0) {
      iovec& front = vectors_[first_];
      if (written < front.iov_len) {
        front.iov_base = static_cast<std::byte*>(front.iov_base) + written;
        front.iov_len -= written;
        return;
      }
      written -= front.iov_len;
      ++first_;
    }
  }

 private:
  std::vector<iovec> vectors_;
  std::size_t first_ = 0;
};

}  // namespace claudefs::runtime::detail
