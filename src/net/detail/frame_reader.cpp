#include "net/detail/frame_reader.h"

#include <algorithm>

#include "base/check.h"

namespace claudefs::net::detail {

MutableByteSpan FrameReader::space() {
  if (direct()) return direct_space();
  const std::size_t wanted = header_ ? header_->content_bytes() : kFrameHeaderBytes;
  // Too little room left makes for many small reads; what is left over moves to a fresh block, because
  // frames given out before still refer to this one.
  constexpr std::size_t kLeastRoom = 4096;
  const std::size_t room = block_.size() - end_;
  if (room < kLeastRoom || block_.size() - begin_ < wanted) {
    Buffer fresh = Buffer::allocate(kBlockBytes);
    if (unread() != 0) std::memcpy(fresh.data(), block_.data() + begin_, unread());
    end_ = unread();
    begin_ = 0;
    block_ = std::move(fresh);
  }
  return block_.mutable_span().subspan(end_);
}

void FrameReader::filled(std::size_t bytes) { (direct() ? got_ : end_) += bytes; }

Result<std::optional<Frame>> FrameReader::next() {
  if (!header_) {
    if (unread() < kFrameHeaderBytes) return std::nullopt;
    const ByteSpan bytes = block_.span().subspan(begin_, kFrameHeaderBytes);
    TRY_ASSIGN(header_, decode_header(bytes.first<kFrameHeaderBytes>(), content_max_));
    begin_ += kFrameHeaderBytes;
    if (direct()) begin_direct();
  }
  const std::size_t content = header_->content_bytes();
  if (direct()) {
    if (got_ < content) return std::nullopt;
    return finish(std::move(body_), std::move(payload_));
  }
  if (unread() < content) return std::nullopt;
  Buffer body, payload;
  if (header_->body_bytes != 0) body = block_.slice(begin_, header_->body_bytes);
  if (header_->payload_bytes != 0)
    payload = block_.slice(begin_ + header_->body_bytes, header_->payload_bytes);
  begin_ += content;
  return finish(std::move(body), std::move(payload));
}

void FrameReader::begin_direct() {
  constexpr std::size_t kDirectAlignment = 4096;
  body_ = Buffer::allocate(header_->body_bytes);
  payload_ = Buffer::allocate(header_->payload_bytes, kDirectAlignment);
  got_ = 0;
  const std::size_t content = header_->content_bytes();
  while (unread() != 0 && got_ < content) {
    const MutableByteSpan into = direct_space();
    const std::size_t part = std::min(into.size(), unread());
    std::memcpy(into.data(), block_.data() + begin_, part);
    begin_ += part;
    got_ += part;
  }
}

MutableByteSpan FrameReader::direct_space() {
  if (got_ < body_.size()) return body_.mutable_span().subspan(got_);
  CFS_CHECK(got_ < body_.size() + payload_.size());
  return payload_.mutable_span().subspan(got_ - body_.size());
}

Result<std::optional<Frame>> FrameReader::finish(Buffer body, Buffer payload) {
  if (content_crc(body, payload) != header_->content_crc)
    return fail(Errc::corrupt, "the checksum of a frame's content does not hold");
  Frame frame{*header_, std::move(body), std::move(payload)};
  header_.reset();
  return frame;
}

}  // namespace claudefs::net::detail
