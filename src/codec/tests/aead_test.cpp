// Goal: it is AES-256-GCM as published, and opens nothing that was touched.
#include "codec/aead.h"

#include <gtest/gtest.h>

#include "codec/tests/bytes.h"

namespace claudefs::codec {
namespace {

std::string hex(ByteSpan bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (const std::byte b : bytes) {
    out += kDigits[static_cast<unsigned>(b) >> 4];
    out += kDigits[static_cast<unsigned>(b) & 15];
  }
  return out;
}

// Test cases 13 and 14 of the GCM specification.
TEST(Aead, GivesThePublishedVectors) {
  const SecretKey key;
  const AeadNonce nonce{};
  EXPECT_EQ(hex(aead_seal({key, nonce, {}}, {}, {})), "530f8afbc74536b9a963b4f1c4cb738b");
  const Buffer plain = Buffer::zeros(16);
  Buffer cipher = Buffer::allocate(16);
  const AeadTag tag = aead_seal({key, nonce, {}}, plain, cipher.mutable_span());
  EXPECT_EQ(hex(cipher), "cea7403d4d606b6e074ec5d3baf39d18");
  EXPECT_EQ(hex(tag), "d0d1c8a799996bf0265b98b5d48ab919");
}

TEST(Aead, OpensOnlyWhatWasSealed) {
  test::Rng rng(1);
  SecretKey key;
  key.bytes.fill(std::byte{3});
  AeadNonce nonce{};
  Buffer associated = test::random_bytes(rng, 20);
  const Buffer plain = test::random_bytes(rng, 100);
  Buffer cipher = Buffer::allocate(100);
  AeadTag tag = aead_seal({key, nonce, associated}, plain, cipher.mutable_span());

  Buffer back = Buffer::allocate(100);
  const auto opens = [&] { return aead_open({key, nonce, associated}, cipher, tag, back.mutable_span()); };
  ASSERT_TRUE(opens());
  EXPECT_EQ(back, plain);
  const auto touched_everywhere = [&](MutableByteSpan bytes) {
    for (std::byte& b : bytes) {
      b ^= std::byte{16};
      EXPECT_FALSE(opens());
      b ^= std::byte{16};
    }
  };
  touched_everywhere(key.bytes);
  touched_everywhere(nonce);
  touched_everywhere(associated.mutable_span());
  touched_everywhere(cipher.mutable_span());
  touched_everywhere(tag);
  EXPECT_TRUE(opens());
}

TEST(Aead, WorksInPlace) {
  test::Rng rng(2);
  const SecretKey key;
  const AeadNonce nonce{};
  const Buffer plain = test::random_bytes(rng, 70'001);
  Buffer apart = Buffer::allocate(plain.size());
  Buffer place = Buffer::copy_of(plain.span());
  const AeadTag tag = aead_seal({key, nonce, {}}, plain, apart.mutable_span());
  EXPECT_EQ(aead_seal({key, nonce, {}}, place, place.mutable_span()), tag);
  EXPECT_EQ(place, apart);
  EXPECT_TRUE(aead_open({key, nonce, {}}, place, tag, place.mutable_span()));
  EXPECT_EQ(place, plain);
}

}  // namespace
}  // namespace claudefs::codec
