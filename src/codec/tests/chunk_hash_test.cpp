// Goal: the primitives are the published ones, keys do what keys must, and a hash travels unharmed.
#include "codec/chunk_hash.h"

#include <gtest/gtest.h>

#include <new>
#include <unordered_set>

#include "codec/detail/blake3.h"
#include "codec/tests/bytes.h"
#include "wire/codec.h"

namespace claudefs::codec {
namespace {

SecretKey key_of(std::string_view text) {
  SecretKey key;
  std::ranges::copy(as_bytes(text), key.bytes.begin());
  return key;
}
std::string hex_of(const SecretKey& key) { return ChunkHash{key.bytes}.to_hex(); }

// BLAKE3's published vectors: input byte i is i % 251.
TEST(Blake3, KeyedModeGivesThePublishedVectors) {
  const SecretKey key = key_of("whats the Elvish word for friend");
  ChunkHash out;
  detail::keyed_hash(key, {ByteSpan{}}, out.bytes);
  EXPECT_EQ(out.to_hex(), "92b2b75604ed3c761f9d6f62392c8a9227ad0ea3f09573e783f1498a4ed60d26");
  const std::byte zero{0};
  detail::keyed_hash(key, {ByteSpan{&zero, 1}}, out.bytes);
  EXPECT_EQ(out.to_hex(), "6d7878dfff2f485635d39013278ae14f1454b8c0a3a2d34bc1ab38228a80c95b");
}

TEST(Blake3, PartsHashAsIfJoined) {
  const SecretKey key = key_of("k");
  ChunkHash joined;
  ChunkHash parts;
  detail::keyed_hash(key, {as_bytes("abcdef")}, joined.bytes);
  detail::keyed_hash(key, {as_bytes("ab"), ByteSpan{}, as_bytes("cdef")}, parts.bytes);
  EXPECT_EQ(joined, parts);
}

TEST(Blake3, DerivedKeysDifferByContextAndBySecret) {
  std::unordered_set<std::string> seen;
  for (const char* secret : {"a", "b"})
    for (const char* context : {"one", "two"})
      seen.insert(hex_of(detail::derive_key(key_of(secret), context)));
  EXPECT_EQ(seen.size(), 4u);
}

TEST(ChunkHash, DependsOnDomainAndContent) {
  DomainKey one;
  DomainKey two;
  two.bytes[31] = std::byte{1};
  const ChunkHash hash = hash_chunk(one, as_bytes("content"));
  EXPECT_EQ(hash, hash_chunk(one, as_bytes("content")));
  EXPECT_NE(hash, hash_chunk(two, as_bytes("content")));
  EXPECT_NE(hash, hash_chunk(one, as_bytes("contenu")));
}

TEST(ChunkHash, HexRoundTripsAndRefusesTheRest) {
  const ChunkHash hash = hash_chunk({}, as_bytes("x"));
  EXPECT_EQ(ChunkHash::from_hex(hash.to_hex()), hash);
  EXPECT_FALSE(ChunkHash::from_hex(""));
  EXPECT_FALSE(ChunkHash::from_hex(hash.to_hex() + "0"));
  EXPECT_FALSE(ChunkHash::from_hex(std::string(63, '0') + "g"));
}

TEST(ChunkHash, TravelsOverTheWire) {
  const ChunkHash hash = hash_chunk({}, as_bytes("x"));
  const Buffer bytes = wire::encode(hash);
  EXPECT_EQ(bytes.size(), 6u + 32u);
  EXPECT_EQ(*wire::decode<ChunkHash>(bytes), hash);
  DomainKey key;
  key.bytes.fill(std::byte{9});
  EXPECT_EQ(*wire::decode<DomainKey>(wire::encode(key)), key);
}

TEST(SecretKey, IsOverwrittenWhenItDies) {
  alignas(DomainKey) std::array<std::byte, sizeof(DomainKey)> room;
  auto* key = new (room.data()) DomainKey;
  key->bytes.fill(std::byte{0x5a});
  key->~DomainKey();
  const volatile std::byte* left = room.data();
  for (std::size_t i = 0; i < room.size(); ++i) EXPECT_NE(static_cast<int>(std::byte{left[i]}), 0x5a) << i;
}

}  // namespace
}  // namespace claudefs::codec
