// Strong types for ids, indices and sizes: a NodeId cannot be passed for a ShardId.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>

#include <fmt/format.h>

namespace claudefs {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using i64 = std::int64_t;

template <class Tag, class Rep>
struct Strong {
  using rep = Rep;
  Rep value{};

  constexpr Strong() = default;
  constexpr explicit Strong(Rep v) : value(v) {}
  constexpr auto operator<=>(const Strong&) const = default;
  constexpr Strong& operator++() {
    ++value;
    return *this;
  }
};

using NodeId = Strong<struct NodeIdTag, u16>;        // 0: none
using SiteId = Strong<struct SiteIdTag, u8>;         // 0..63
using ShardId = Strong<struct ShardIdTag, u16>;      // 0..16383; also the Raft group
using VolumeId = Strong<struct VolumeIdTag, u32>;    // 0: none
using SessionId = Strong<struct SessionIdTag, u64>;  // 0: none
using SegmentId = Strong<struct SegmentIdTag, u64>;  // site (6) . shard (14) . counter (44); 0: none
using TxnId = Strong<struct TxnIdTag, u64>;          // shard (14) in the top bits of a counter; 0: none

// site (6) . shard (14) . counter or hash (44). Says where its inode lives. 0: none.
struct InodeId : Strong<InodeId, u64> {
  using Strong::Strong;
  static constexpr u64 kLocalBits = 44;
  static constexpr u64 kLocalMask = (u64{1} << kLocalBits) - 1;
  static constexpr InodeId make(SiteId site, ShardId shard, u64 local) {
    return InodeId{(u64{site.value} << 58) | (u64{shard.value} << kLocalBits) | (local & kLocalMask)};
  }
  constexpr ShardId shard() const { return ShardId{static_cast<u16>((value >> kLocalBits) & 0x3fff)}; }
  constexpr SiteId site() const { return SiteId{static_cast<u8>(value >> 58)}; }
  constexpr u64 local() const { return value & kLocalMask; }
};

constexpr ShardId shard_of(SegmentId segment) {
  return ShardId{static_cast<u16>((segment.value >> InodeId::kLocalBits) & 0x3fff)};
}
constexpr SegmentId make_segment_id(SiteId site, ShardId shard, u64 local) {
  return SegmentId{InodeId::make(site, shard, local).value};
}

// Raft. Index 0 and term 0 are before the first.
using Term = Strong<struct TermTag, u64>;
using LogIndex = Strong<struct LogIndexTag, u64>;

constexpr u64 operator""_KiB(unsigned long long n) { return n << 10; }
constexpr u64 operator""_MiB(unsigned long long n) { return n << 20; }
constexpr u64 operator""_GiB(unsigned long long n) { return n << 30; }

}  // namespace claudefs

template <class T>
  requires requires(T t) {
    typename T::rep;
    t.value;
  }
struct fmt::formatter<T> : fmt::formatter<typename T::rep> {
  auto format(const T& id, fmt::format_context& ctx) const {
    return fmt::formatter<typename T::rep>::format(id.value, ctx);
  }
};

template <class T>
  requires requires(T t) {
    typename T::rep;
    t.value;
  }
struct std::hash<T> {
  std::size_t operator()(const T& id) const noexcept { return std::hash<typename T::rep>{}(id.value); }
};
