// Structs to bytes and back, the same for messages, log records and stored values.
//
// A struct takes part by listing its fields, in stored order:
//     struct Point { u64 x; std::string name; static auto fields(auto& self) { return std::tie(self.x,
//     self.name); } };
// Integers and strong ids are LEB128 varints (signed ones zigzag), u8, bool and byte arrays are raw, strings
// and Buffers and vectors are a varint length and the content, optionals a flag, variants an index.
//
// encode(T) wraps the fields in an envelope (docs/formats/envelope.md): u8 version, u8 least readable
// version, u32 little-endian length, fields. A reader skips fields it does not know at the end and
// leaves those that an older writer did not send at their defaults. decode() refuses what is
// truncated, too long, or newer than it can read: Errc::corrupt or Errc::wrong_version.
#pragma once

#include <array>
#include <bit>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "base/buffer.h"
#include "base/ids.h"
#include "base/result.h"

namespace claudefs::wire {

template <class T>
concept Fielded = requires(T& t) { T::fields(t); };
template <class T>
concept StrongId = requires(T t) {
  typename T::rep;
  t.value;
};

class Writer {
 public:
  void raw(ByteSpan bytes) { out_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size()); }
  void byte(u8 v) { out_.push_back(static_cast<char>(v)); }
  void varint(u64 v) {
    while (v >= 0x80) {
      byte(static_cast<u8>(v) | 0x80);
      v >>= 7;
    }
    byte(static_cast<u8>(v));
  }
  void fixed32(u32 v) {
    for (int i = 0; i < 4; ++i) byte(static_cast<u8>(v >> (8 * i)));
  }
  std::size_t size() const { return out_.size(); }
  void patch32(std::size_t at, u32 v) {
    for (int i = 0; i < 4; ++i) out_[at + i] = static_cast<char>(static_cast<u8>(v >> (8 * i)));
  }
  Buffer finish() && { return Buffer::adopt(std::move(out_)); }
  std::string take() && { return std::move(out_); }

  template <class T>
  void put(const T& v);

 private:
  std::string out_;
};

// Never reads past its end: after the first bad field `ok()` is false and everything reads as zero.
class Reader {
 public:
  explicit Reader(ByteSpan bytes) : bytes_(bytes) {}
  // Buffers read from here share `whole`'s block instead of copying.
  explicit Reader(const Buffer& whole) : bytes_(whole.span()), whole_(&whole) {}
  bool ok() const { return ok_; }
  void spoil() { ok_ = false; }
  std::size_t left() const { return bytes_.size() - at_; }
  ByteSpan raw(std::size_t n) {
    if (!ok_ || n > left()) {
      ok_ = false;
      return {};
    }
    ByteSpan out = bytes_.subspan(at_, n);
    at_ += n;
    return out;
  }
  u8 byte() {
    ByteSpan b = raw(1);
    return b.empty() ? 0 : static_cast<u8>(b[0]);
  }
  u64 varint() {
    u64 v = 0;
    for (int shift = 0; shift < 70; shift += 7) {
      const u8 b = byte();
      if (!ok_) return 0;
      if (shift == 63 && b > 1) break;
      v |= u64{b & 0x7fu} << shift;
      if ((b & 0x80) == 0) return v;
    }
    ok_ = false;
    return 0;
  }
  u32 fixed32() {
    ByteSpan b = raw(4);
    u32 v = 0;
    for (std::size_t i = 0; i < b.size(); ++i) v |= u32{static_cast<u8>(b[i])} << (8 * i);
    return v;
  }
  Buffer buffer(std::size_t n) {
    const std::size_t at = at_;
    ByteSpan b = raw(n);
    if (!ok_) return {};
    return whole_ != nullptr ? whole_->slice(at, n) : Buffer::copy_of(b);
  }
  void limit_to(std::size_t n) { bytes_ = bytes_.first(at_ + n); }

  template <class T>
  void get(T& v);

 private:
  ByteSpan bytes_;
  const Buffer* whole_ = nullptr;
  std::size_t at_ = 0;
  bool ok_ = true;
};

namespace detail {
template <class T>
inline constexpr bool is_vector = false;
template <class T>
inline constexpr bool is_vector<std::vector<T>> = true;
template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;
template <class T>
inline constexpr bool is_variant = false;
template <class... T>
inline constexpr bool is_variant<std::variant<T...>> = true;
template <class T>
inline constexpr bool is_map = false;
template <class K, class V>
inline constexpr bool is_map<std::map<K, V>> = true;
template <class T>
inline constexpr bool is_byte_array = false;
template <std::size_t N>
inline constexpr bool is_byte_array<std::array<std::byte, N>> = true;

template <class T>
u8 version_of() {
  if constexpr (requires { T::kVersion; })
    return T::kVersion;
  else
    return 1;
}
template <class T>
u8 least_version_of() {
  if constexpr (requires { T::kLeastVersion; })
    return T::kLeastVersion;
  else
    return 1;
}
template <std::size_t I = 0, class V>
void get_alternative(Reader& in, V& v, std::size_t index) {
  if constexpr (I < std::variant_size_v<V>) {
    if (index != I) return get_alternative<I + 1>(in, v, index);
    in.get(v.template emplace<I>());
  } else {
    in.spoil();
  }
}
}  // namespace detail

template <class T>
void Writer::put(const T& v) {
  if constexpr (StrongId<T>) {
    put(v.value);
  } else if constexpr (std::is_enum_v<T>) {
    put(static_cast<std::underlying_type_t<T>>(v));
  } else if constexpr (std::is_same_v<T, bool> || (std::is_integral_v<T> && sizeof(T) == 1)) {
    byte(static_cast<u8>(v));
  } else if constexpr (std::is_unsigned_v<T>) {
    varint(v);
  } else if constexpr (std::is_integral_v<T>) {
    const i64 s = v;
    varint((static_cast<u64>(s) << 1) ^ static_cast<u64>(s >> 63));
  } else if constexpr (std::is_same_v<T, std::string>) {
    varint(v.size());
    raw(as_bytes(v));
  } else if constexpr (std::is_same_v<T, Buffer>) {
    varint(v.size());
    raw(v.span());
  } else if constexpr (detail::is_byte_array<T>) {
    raw(v);
  } else if constexpr (detail::is_vector<T>) {
    varint(v.size());
    for (const auto& item : v) put(item);
  } else if constexpr (detail::is_map<T>) {
    varint(v.size());
    for (const auto& [key, value] : v) {
      put(key);
      put(value);
    }
  } else if constexpr (detail::is_optional<T>) {
    byte(v.has_value());
    if (v) put(*v);
  } else if constexpr (detail::is_variant<T>) {
    varint(v.index());
    std::visit([this](const auto& alternative) { put(alternative); }, v);
  } else {
    static_assert(Fielded<const T>, "list the struct's fields()");
    std::apply([this](const auto&... field) { (put(field), ...); }, T::fields(v));
  }
}

template <class T>
void Reader::get(T& v) {
  if constexpr (StrongId<T>) {
    get(v.value);
  } else if constexpr (std::is_enum_v<T>) {
    std::underlying_type_t<T> raw_value{};
    get(raw_value);
    v = static_cast<T>(raw_value);
  } else if constexpr (std::is_same_v<T, bool> || (std::is_integral_v<T> && sizeof(T) == 1)) {
    v = static_cast<T>(byte());
  } else if constexpr (std::is_unsigned_v<T>) {
    const u64 wide = varint();
    if (wide > std::numeric_limits<T>::max()) spoil();
    v = static_cast<T>(wide);
  } else if constexpr (std::is_integral_v<T>) {
    const u64 wide = varint();
    const i64 s = static_cast<i64>(wide >> 1) ^ -static_cast<i64>(wide & 1);
    if (s < std::numeric_limits<T>::min() || s > std::numeric_limits<T>::max()) spoil();
    v = static_cast<T>(s);
  } else if constexpr (std::is_same_v<T, std::string>) {
    v = std::string(as_text(raw(varint())));
  } else if constexpr (std::is_same_v<T, Buffer>) {
    v = buffer(varint());
  } else if constexpr (detail::is_byte_array<T>) {
    ByteSpan bytes = raw(v.size());
    if (!bytes.empty()) std::copy(bytes.begin(), bytes.end(), v.begin());
  } else if constexpr (detail::is_vector<T>) {
    const u64 count = varint();
    v.clear();
    if (count > left()) return spoil();  // every item takes at least a byte: no bomb
    v.reserve(std::min<u64>(count, 1024));
    for (u64 i = 0; i < count && ok_; ++i) get(v.emplace_back());
  } else if constexpr (detail::is_map<T>) {
    const u64 count = varint();
    v.clear();
    if (count > left()) return spoil();
    for (u64 i = 0; i < count && ok_; ++i) {
      typename T::key_type key{};
      get(key);
      get(v[std::move(key)]);
    }
  } else if constexpr (detail::is_optional<T>) {
    if (byte() != 0)
      get(v.emplace());
    else
      v.reset();
  } else if constexpr (detail::is_variant<T>) {
    detail::get_alternative(*this, v, varint());
  } else {
    static_assert(Fielded<T>, "list the struct's fields()");
    // Fields that an older writer did not know stay at their defaults.
    std::apply([this](auto&... field) { ((left() != 0 || !ok_ ? get(field) : void()), ...); }, T::fields(v));
  }
}

// One message or stored value, in its envelope.
template <Fielded T>
Buffer encode(const T& message) {
  Writer out;
  out.byte(detail::version_of<T>());
  out.byte(detail::least_version_of<T>());
  out.fixed32(0);
  out.put(message);
  out.patch32(2, static_cast<u32>(out.size() - 6));
  return std::move(out).finish();
}

template <Fielded T>
Result<T> decode(Reader in) {
  in.byte();
  const u8 least = in.byte();
  const u32 length = in.fixed32();
  if (!in.ok() || length > in.left()) return fail(Errc::corrupt, "message is truncated");
  if (least > detail::version_of<T>())
    return fail(Errc::wrong_version, "message needs a newer claudefs; upgrade this node");
  in.limit_to(length);
  T message{};
  in.get(message);
  if (!in.ok()) return fail(Errc::corrupt, "message does not decode");
  return message;
}
// Buffers inside the result share `bytes`' block.
template <Fielded T>
Result<T> decode(const Buffer& bytes) {
  return decode<T>(Reader(bytes));
}
template <Fielded T>
Result<T> decode(ByteSpan bytes) {
  return decode<T>(Reader(bytes));
}

}  // namespace claudefs::wire
