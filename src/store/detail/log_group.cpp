#include "store/detail/log_group.h"

namespace claudefs::store::detail {
namespace {
constexpr std::size_t kCopiedMost = 8192;
}

u32 LogGroup::add(LogRecordKind kind, const std::vector<Buffer>& content, u32 length, u32 content_crc) {
  const u64 at = offset_;
  const std::size_t head = block_.size();
  block_.resize(head + kLogRecordHeader);
  const LogRecordHeader header{.length = length,
                               .content_crc = content_crc,
                               .sequence = sequence_,
                               .kind = kind,
                               .group_back = static_cast<u16>(sequence_ - first_),
                               .previous = previous_};
  previous_ = encode_log_record_header(header, salt_, MutableByteSpan(block_).subspan(head));
  for (const Buffer& piece : content) {
    if (piece.size() <= kCopiedMost) {
      block_.insert(block_.end(), piece.span().begin(), piece.span().end());
    } else {
      close_block();
      pieces_.push_back(piece);
    }
  }
  const u64 size = log_record_size(length);
  block_.resize(block_.size() + (size - kLogRecordHeader - length));  // zeros
  offset_ += size;
  ++sequence_;
  return static_cast<u32>(at);
}

void LogGroup::close_block() {
  if (!block_.empty()) pieces_.push_back(Buffer::adopt(std::exchange(block_, {})));
}

std::vector<Buffer> LogGroup::finish() {
  const u64 end = log_group_end(offset_);
  block_.resize(block_.size() + (end - offset_));  // zeros
  offset_ = end;
  close_block();
  return std::move(pieces_);
}

}  // namespace claudefs::store::detail
