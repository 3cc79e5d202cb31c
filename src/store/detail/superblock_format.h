// Bytes of a superblock file, as docs/formats/superblock.md describes them. Pure: no I/O.
#pragma once

#include "store/superblock.h"

namespace claudefs::store::detail {

Buffer encode_superblock(const Superblock& superblock);
// Errors: corrupt, wrong_version.
Result<Superblock> parse_superblock(ByteSpan file);

}  // namespace claudefs::store::detail
