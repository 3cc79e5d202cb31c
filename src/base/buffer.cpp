#include "base/buffer.h"

#include <new>

#include "base/check.h"

namespace claudefs {

Buffer Buffer::allocate(std::size_t size, std::size_t alignment) {
  if (size == 0) return {};
  auto* raw = static_cast<std::byte*>(::operator new(size, std::align_val_t{alignment}));
  std::shared_ptr<void> block(raw,
                              [alignment](void* p) { ::operator delete(p, std::align_val_t{alignment}); });
  return Buffer(std::move(block), raw, size);
}

Buffer Buffer::zeros(std::size_t size) {
  Buffer out = allocate(size);
  if (size != 0) std::memset(out.data(), 0, size);
  return out;
}

Buffer Buffer::copy_of(ByteSpan bytes) {
  Buffer out = allocate(bytes.size());
  if (!bytes.empty()) std::memcpy(out.data(), bytes.data(), bytes.size());
  return out;
}

Buffer Buffer::adopt(std::vector<std::byte> bytes) {
  auto holder = std::make_shared<std::vector<std::byte>>(std::move(bytes));
  std::byte* data = holder->data();
  const std::size_t size = holder->size();
  return Buffer(std::move(holder), data, size);
}

Buffer Buffer::adopt(std::string text) {
  auto holder = std::make_shared<std::string>(std::move(text));
  auto* data = reinterpret_cast<std::byte*>(holder->data());
  const std::size_t size = holder->size();
  return Buffer(std::move(holder), data, size);
}

Buffer Buffer::slice(std::size_t offset, std::size_t length) const {
  CFS_CHECK(offset <= size_ && length <= size_ - offset);
  return Buffer(block_, data_ + offset, length);
}

}  // namespace claudefs
