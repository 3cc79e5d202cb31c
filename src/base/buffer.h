// Bytes that are shared, not copied.
//
// A Buffer is a view (offset, length) of a reference-counted block; copying or slicing one is O(1).
// Whoever allocates a block may write it through data() until it hands the Buffer on; from then on
// everybody treats it as immutable. Blocks are 4 KiB aligned where asked, for O_DIRECT.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace claudefs {

using ByteSpan = std::span<const std::byte>;
using MutableByteSpan = std::span<std::byte>;

inline ByteSpan as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}
inline std::string_view as_text(ByteSpan bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class Buffer {
 public:
  Buffer() = default;
  // Uninitialised block of `size` bytes, aligned to `alignment` (a power of two).
  static Buffer allocate(std::size_t size, std::size_t alignment = 16);
  static Buffer zeros(std::size_t size);
  static Buffer copy_of(ByteSpan bytes);
  static Buffer copy_of(std::string_view text) { return copy_of(as_bytes(text)); }
  // Takes the vector's storage without copying.
  static Buffer adopt(std::vector<std::byte> bytes);
  static Buffer adopt(std::string text);

  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  ByteSpan span() const { return {data_, size_}; }
  MutableByteSpan mutable_span() { return {data_, size_}; }
  operator ByteSpan() const { return span(); }
  std::string_view text() const { return as_text(span()); }

  // Shares the block. Requires offset + length <= size().
  Buffer slice(std::size_t offset, std::size_t length) const;
  Buffer slice(std::size_t offset) const { return slice(offset, size_ - offset); }

  bool operator==(const Buffer& other) const {
    return size_ == other.size_ && (size_ == 0 || std::memcmp(data_, other.data_, size_) == 0);
  }

 private:
  Buffer(std::shared_ptr<void> block, std::byte* data, std::size_t size)
      : block_(std::move(block)), data_(data), size_(size) {}
  std::shared_ptr<void> block_;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace claudefs
