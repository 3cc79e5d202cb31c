// From a byte stream to frames, without I/O: read into space(), tell filled(), take frames with next().
//
// Small frames are slices of a shared 64 KiB block; the content of a large one arrives in buffers of its
// own, the payload aligned for O_DIRECT, and is never copied but for what came in with its header.
#pragma once

#include <optional>

#include "net/frame.h"

namespace claudefs::net::detail {

class FrameReader {
 public:
  explicit FrameReader(std::size_t content_max) : content_max_(content_max) {}
  void set_limit(std::size_t content_max) { content_max_ = content_max; }

  // Where the next bytes of the stream go. Never empty. Call only after next() gave no frame.
  MutableByteSpan space();
  void filled(std::size_t bytes);
  // The next whole frame, or nothing when more bytes are needed. After an error the stream is useless.
  Result<std::optional<Frame>> next();

 private:
  static constexpr std::size_t kBlockBytes = 64u << 10;
  static constexpr std::size_t kDirectBytes = 16u << 10;  // a larger content gets buffers of its own

  std::size_t unread() const { return end_ - begin_; }
  bool direct() const { return header_ && header_->content_bytes() > kDirectBytes; }
  void begin_direct();
  MutableByteSpan direct_space();
  Result<std::optional<Frame>> finish(Buffer body, Buffer payload);

  std::size_t content_max_;
  Buffer block_;
  std::size_t begin_ = 0;  // of what is in the block and not yet in a frame
  std::size_t end_ = 0;
  std::optional<FrameHeader> header_;  // of the frame under way
  Buffer body_;                        // of a large frame under way
  Buffer payload_;
  std::size_t got_ = 0;  // bytes of its content, body first
};

}  // namespace claudefs::net::detail
