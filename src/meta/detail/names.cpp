#include "meta/names.h"

namespace claudefs::meta {
namespace {

u64 mix(u64 h) {
  h ^= h >> 33;
  h *= 0xff51afd7ed558ccdULL;
  h ^= h >> 33;
  h *= 0xc4ceb9fe1a85ec53ULL;
  return h ^ (h >> 33);
}

}  // namespace

u64 hash_of_name(std::string_view name, u64 seed) {
  u64 h = 0xcbf29ce484222325ULL ^ seed;
  for (const char c : name) h = (h ^ static_cast<u8>(c)) * 0x100000001b3ULL;
  return mix(h);
}

u64 cookie_of(std::string_view name) {
  const u64 hash = hash_of_name(name) >> 9;  // 55 bits
  return (hash == 0 ? 1 : hash) << 8;
}

InodeId directory_id(InodeId parent, std::string_view name, u32 attempt, u16 shard_count) {
  const u64 hash = hash_of_name(name, mix(parent.value + u64{attempt} * 0x9e3779b97f4a7c15ULL));
  const u64 spread = mix(hash ^ 0x5bd1e9955bd1e995ULL);
  return InodeId::make(SiteId{0}, ShardId{static_cast<u16>(spread % shard_count)},
                       (u64{1} << 43) | (hash >> 21));
}

InodeId volume_root_id(VolumeId volume, u32 attempt, u16 shard_count) {
  return directory_id(InodeId{}, fmt::format("volume {}", volume), attempt, shard_count);
}

}  // namespace claudefs::meta
