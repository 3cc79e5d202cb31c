#include "sim/detail/sparse_bytes.h"

#include <algorithm>

#include "base/check.h"

namespace claudefs::sim {

SparseBytes::Page& SparseBytes::page(u64 index) {
  std::shared_ptr<Page>& at = pages_[index];
  if (at == nullptr)
    at = std::make_shared<Page>();  // zeros
  else if (at.use_count() > 1)
    at = std::make_shared<Page>(*at);
  return *at;
}

void SparseBytes::resize(u64 size) {
  if (size < size_) {
    pages_.erase(pages_.lower_bound((size + kPage - 1) / kPage), pages_.end());
    if (pages_.contains(size / kPage)) {
      Page& last = page(size / kPage);
      std::fill(last.begin() + static_cast<std::ptrdiff_t>(size % kPage), last.end(), std::byte{0});
    }
  }
  size_ = size;
}

void SparseBytes::write(u64 offset, ByteSpan bytes) {
  size_ = bytes.empty() ? size_ : std::max(size_, offset + bytes.size());
  while (!bytes.empty()) {
    const u64 within = offset % kPage;
    const std::size_t count = std::min<u64>(bytes.size(), kPage - within);
    std::memcpy(page(offset / kPage).data() + within, bytes.data(), count);
    offset += count;
    bytes = bytes.subspan(count);
  }
}

std::size_t SparseBytes::read(u64 offset, MutableByteSpan into) const {
  if (offset >= size_) return 0;
  const std::size_t total = std::min<u64>(into.size(), size_ - offset);
  for (std::size_t done = 0; done < total;) {
    const u64 at = offset + done;
    const std::size_t count = std::min<u64>(total - done, kPage - at % kPage);
    if (const auto found = pages_.find(at / kPage); found != pages_.end())
      std::memcpy(into.data() + done, found->second->data() + at % kPage, count);
    else
      std::memset(into.data() + done, 0, count);
    done += count;
  }
  return total;
}

void SparseBytes::flip(u64 offset, unsigned bit) {
  CFS_CHECK(offset < size_);
  page(offset / kPage)[offset % kPage] ^= static_cast<std::byte>(1u << (bit % 8));
}

}  // namespace claudefs::sim
