#include "codec/secret_key.h"

#include <openssl/crypto.h>

namespace claudefs::codec {

SecretKey::~SecretKey() { OPENSSL_cleanse(bytes.data(), bytes.size()); }

bool SecretKey::operator==(const SecretKey& other) const {
  return CRYPTO_memcmp(bytes.data(), other.bytes.data(), bytes.size()) == 0;
}

}  // namespace claudefs::codec
