#include "codec/detail/blake3.h"

#include <llvm-c/blake3.h>
#include <openssl/crypto.h>

#include <cstddef>

namespace claudefs::codec::detail {

namespace {
class Hasher {
 public:
  explicit Hasher(const SecretKey& key) {
    llvm_blake3_hasher_init_keyed(&state_, reinterpret_cast<const uint8_t*>(key.bytes.data()));
  }
  explicit Hasher(const char* context) { llvm_blake3_hasher_init_derive_key(&state_, context); }
  ~Hasher() {
    // Not the stack of chaining values: what content leaves there gives away no key.
    OPENSSL_cleanse(&state_, offsetof(llvm_blake3_hasher, cv_stack));
  }
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;

  void update(ByteSpan bytes) { llvm_blake3_hasher_update(&state_, bytes.data(), bytes.size()); }
  void finish(MutableByteSpan out) const {
    llvm_blake3_hasher_finalize(&state_, reinterpret_cast<uint8_t*>(out.data()), out.size());
  }

 private:
  llvm_blake3_hasher state_;
};
}  // namespace

void keyed_hash(const SecretKey& key, std::initializer_list<ByteSpan> parts, MutableByteSpan out) {
  Hasher hasher(key);
  for (const ByteSpan part : parts) hasher.update(part);
  hasher.finish(out);
}

SecretKey derive_key(const SecretKey& secret, const char* context) {
  Hasher hasher(context);
  hasher.update(secret.bytes);
  SecretKey out;
  hasher.finish(out.bytes);
  return out;
}

}  // namespace claudefs::codec::detail
