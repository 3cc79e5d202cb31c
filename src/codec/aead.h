// AES-256-GCM, one message a call. Pure and thread-safe; a call costs about a microsecond beside its bytes.
//
// Never use one nonce for two messages under one key: chunk_frame.h shows how a nonce is made from the
// message.
#pragma once

#include <array>
#include <cstddef>

#include "base/buffer.h"
#include "codec/secret_key.h"

namespace claudefs::codec {

using AeadNonce = std::array<std::byte, 12>;
using AeadTag = std::array<std::byte, 16>;

// What is sealed beside the message itself.
struct AeadContext {
  const SecretKey& key;
  const AeadNonce& nonce;
  ByteSpan associated;  // not encrypted, but bound to the message
};

// Encrypts `plain` to `cipher`, of the same length; they may be the same bytes.
AeadTag aead_seal(const AeadContext& context, ByteSpan plain, MutableByteSpan cipher);

// Decrypts; false when key, nonce, associated data, `cipher` or tag is not what it was. `plain` is then
// undefined and must not be used.
[[nodiscard]] bool aead_open(const AeadContext& context, ByteSpan cipher, const AeadTag& tag,
                             MutableByteSpan plain);

}  // namespace claudefs::codec
