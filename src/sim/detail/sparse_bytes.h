// The content of a simulated file: absent pages read as zeros. Copies share pages until one of them is
// written.
#pragma once

#include <array>
#include <map>
#include <memory>

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
  Page& page(u64 index);  // to be written: of its own
  std::map<u64, std::shared_ptr<Page>> pages_;
  u64 size_ = 0;
};

}  // namespace claudefs::sim
