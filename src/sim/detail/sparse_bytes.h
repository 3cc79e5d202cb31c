// The content of a simulated file: absent pages read as zeros.
#pragma once

#include <array>
#include <map>

#include "base/buffer.h"
#include "base/ids.h"

namespace claudefs::sim {

class SparseBytes {
 public:
  u64 size() const { return size_; }
  void resize(u64 size);
  void write(u64 offset, ByteSpan bytes);  // grows
  // Short at the end.
  std::size_t read(u64 offset, MutableByteSpan into) const;
  void flip(u64 offset, unsigned bit);  // requires offset < size()

 private:
  static constexpr u64 kPage = 4096;
  using Page = std::array<std::byte, kPage>;
  Page& page(u64 index);
  std::map<u64, Page> pages_;
  u64 size_ = 0;
};

}  // namespace claudefs::sim
