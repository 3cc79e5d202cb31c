#include "codec/aead.h"

#include <openssl/evp.h>

#include <memory>

#include "base/check.h"

namespace claudefs::codec {

namespace {

struct FreeContext {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Cipher = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;

// Looked up once: OpenSSL 3 takes longer to find an algorithm by name than to encrypt 4 KiB.
const EVP_CIPHER* algorithm() {
  static EVP_CIPHER* const found = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
  CFS_CHECK(found != nullptr);
  return found;
}

const unsigned char* raw(ByteSpan bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }
unsigned char* raw(MutableByteSpan bytes) { return reinterpret_cast<unsigned char*>(bytes.data()); }

enum class Direction { open = 0, seal = 1 };

// Ready for the message. Lengths are below 2^31: a chunk's frame is the largest message there is.
Cipher begin(const AeadContext& in, Direction direction, std::size_t length) {
  CFS_CHECK(length < (std::size_t{1} << 31) && in.associated.size() < (std::size_t{1} << 31));
  Cipher cipher(EVP_CIPHER_CTX_new());
  CFS_CHECK(cipher != nullptr);
  CFS_CHECK(EVP_CipherInit_ex2(cipher.get(), algorithm(), raw(ByteSpan(in.key.bytes)),
                               raw(ByteSpan(in.nonce)), static_cast<int>(direction), nullptr) == 1);
  int done = 0;
  if (!in.associated.empty())
    CFS_CHECK(EVP_CipherUpdate(cipher.get(), nullptr, &done, raw(in.associated),
                               static_cast<int>(in.associated.size())) == 1);
  return cipher;
}

void update(const Cipher& cipher, ByteSpan from, MutableByteSpan to) {
  CFS_CHECK(from.size() == to.size());
  if (from.empty()) return;
  int done = 0;
  CFS_CHECK(EVP_CipherUpdate(cipher.get(), raw(to), &done, raw(from), static_cast<int>(from.size())) == 1);
  CFS_CHECK(static_cast<std::size_t>(done) == from.size());
}

}  // namespace

AeadTag aead_seal(const AeadContext& context, ByteSpan plain, MutableByteSpan out) {
  const Cipher cipher = begin(context, Direction::seal, plain.size());
  update(cipher, plain, out);
  unsigned char none[16];
  int done = 0;
  CFS_CHECK(EVP_CipherFinal_ex(cipher.get(), none, &done) == 1 && done == 0);
  AeadTag tag;
  CFS_CHECK(EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_AEAD_GET_TAG, tag.size(), tag.data()) == 1);
  return tag;
}

bool aead_open(const AeadContext& context, ByteSpan in, const AeadTag& tag, MutableByteSpan plain) {
  const Cipher cipher = begin(context, Direction::open, in.size());
  update(cipher, in, plain);
  AeadTag expected = tag;
  CFS_CHECK(EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_AEAD_SET_TAG, expected.size(), expected.data()) == 1);
  unsigned char none[16];
  int done = 0;
  return EVP_CipherFinal_ex(cipher.get(), none, &done) == 1;
}

}  // namespace claudefs::codec
