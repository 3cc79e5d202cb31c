// Hashes of names: the cookie of a directory entry and the ids of directories. Stored: never change.
#pragma once

#include <string_view>

#include "base/ids.h"

namespace claudefs::meta {

// FNV-1a over the bytes, finished with MurmurHash3's mixer; `seed` replaces the offset basis's low bits.
u64 hash_of_name(std::string_view name, u64 seed = 0);

// The cookie of the first collision slot of `name`: [256, 2^63), a multiple of 256.
u64 cookie_of(std::string_view name);

// The id that a directory made as `name` in `parent` gets; `attempt` counts from 0 while ids are taken.
InodeId directory_id(InodeId parent, std::string_view name, u32 attempt, u16 shard_count);

// The id of a volume's root; `attempt` as above. Ids of volumes do not come twice.
InodeId volume_root_id(VolumeId volume, u32 attempt, u16 shard_count);

}  // namespace claudefs::meta
