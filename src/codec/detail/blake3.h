// BLAKE3 in its keyed and its derive-key mode. The hasher's state holds key material and is overwritten.
#pragma once

#include <initializer_list>

#include "base/buffer.h"
#include "codec/secret_key.h"

namespace claudefs::codec::detail {

// Hashes the parts as if joined. `out` may have any length; a shorter one is a prefix of a longer one.
void keyed_hash(const SecretKey& key, std::initializer_list<ByteSpan> parts, MutableByteSpan out);
// `context` names the use of the result, unique in the whole program.
SecretKey derive_key(const SecretKey& secret, const char* context);

}  // namespace claudefs::codec::detail
