// Goal: a chunk opens to exactly what was sealed, or not at all.
// Method: all options over many contents; every bit flipped, every length cut; files of the documented format
// that another implementation made.
#include "codec/chunk_frame.h"

#include <gtest/gtest.h>

#include <fmt/format.h>

#include <fstream>
#include <set>

#include "base/crc32c.h"
#include "codec/tests/bytes.h"

namespace claudefs::codec {
namespace {

using test::between;
using test::Rng;

constexpr Compression kNone{Compressor::none}, kLz4{}, kZstd{Compressor::zstd, 3};
constexpr ChunkCodecOptions kAllOptions[] = {{kNone, false}, {kNone, true},  {kLz4, false},
                                             {kLz4, true},   {kZstd, false}, {kZstd, true}};

DomainKey counting_key() {
  DomainKey key;
  for (std::size_t i = 0; i < key.bytes.size(); ++i) key.bytes[i] = static_cast<std::byte>(i);
  return key;
}
Buffer sealed(const ChunkCodecOptions& options, ByteSpan plain) {
  const DomainKey key = counting_key();
  return seal_chunk(options, key, hash_chunk(key, plain), plain).value();
}
Errc error_of(const Result<Buffer>& result) { return result ? Errc::ok : result.error().code; }

TEST(ChunkFrame, OpensToWhatWasSealed) {
  Rng rng(1);
  const DomainKey key = counting_key();
  for (int round = 0; round < 40; ++round) {
    const std::size_t size = round == 0 ? kMaxChunkLength : round == 1 ? 1 : between(rng, 1, 200'000);
    const Buffer plain = round % 2 == 0 ? test::random_bytes(rng, size) : test::text_like(rng, size);
    const ChunkHash hash = hash_chunk(key, plain);
    for (const ChunkCodecOptions& options : kAllOptions) {
      const Buffer stored = seal_chunk(options, key, hash, plain).value();
      EXPECT_LE(stored.size(), size + kMaxChunkOverhead);
      EXPECT_EQ(open_chunk(key, hash, stored).value(), plain);
      const ChunkHeader header = check_chunk(stored).value();
      EXPECT_EQ(header.plain_length, size);
      EXPECT_EQ(header.encrypted, options.encrypt);
      const auto& how = options.compression;
      EXPECT_TRUE(header.encoding == ChunkEncoding::raw ||
                  (how == kLz4 && header.encoding == ChunkEncoding::lz4) ||
                  (how == kZstd && header.encoding == ChunkEncoding::zstd));
    }
  }
}

// Where compression gains a byte, or none, or loses one.
TEST(ChunkFrame, ShortChunksOpenWhateverTheirContent) {
  Rng rng(7);
  const DomainKey key = counting_key();
  for (int round = 0; round < 3'000; ++round) {
    Buffer plain = test::random_bytes(rng, between(rng, 1, 40));
    const std::size_t equal = between(rng, 0, plain.size());
    std::memset(plain.data() + between(rng, 0, plain.size() - equal), 0, equal);
    const ChunkHash hash = hash_chunk(key, plain);
    for (const Compression& how : {kLz4, kZstd})
      ASSERT_EQ(open_chunk(key, hash, seal_chunk({how}, key, hash, plain).value()).value(), plain);
  }
}

TEST(ChunkFrame, CompressesTextAndLeavesNoise) {
  Rng rng(2);
  const Buffer text = sealed({}, test::text_like(rng, 100'000));
  const Buffer noise = sealed({}, test::random_bytes(rng, 100'000));
  EXPECT_EQ(check_chunk(text)->encoding, ChunkEncoding::lz4);
  EXPECT_LT(text.size(), 70'000u);
  EXPECT_EQ(check_chunk(noise)->encoding, ChunkEncoding::raw);
  EXPECT_EQ(noise.size(), 100'048u);
  const Buffer more = sealed({kZstd}, test::text_like(rng, 100'000));
  EXPECT_EQ(check_chunk(more)->encoding, ChunkEncoding::zstd);
  EXPECT_LT(more.size(), text.size());
  EXPECT_EQ(sealed({kZstd}, test::random_bytes(rng, 100'000)).size(), 100'048u);
}

TEST(ChunkFrame, EveryBitFlipIsDetected) {
  Rng rng(3);
  const DomainKey key = counting_key();
  for (const Buffer& plain : {test::random_bytes(rng, 333), test::text_like(rng, 900)}) {
    const ChunkHash hash = hash_chunk(key, plain);
    for (const ChunkCodecOptions& options : kAllOptions) {
      Buffer stored = seal_chunk(options, key, hash, plain).value();
      for (std::size_t bit = 0; bit < 8 * stored.size(); ++bit) {
        const std::byte mask = std::byte{1} << (bit % 8);
        stored.data()[bit / 8] ^= mask;
        ASSERT_EQ(error_of(open_chunk(key, hash, stored)), Errc::corrupt) << "bit " << bit;
        ASSERT_FALSE(check_chunk(stored)) << "bit " << bit;
        stored.data()[bit / 8] ^= mask;
      }
      ASSERT_TRUE(open_chunk(key, hash, stored));
    }
  }
}

void mend_checksum(Buffer& stored) {
  const std::uint32_t sum = crc32c(stored.span().subspan(20), crc32c(stored.span().first(16)));
  for (int i = 0; i < 4; ++i) stored.data()[16 + i] = static_cast<std::byte>(sum >> (8 * i));
}

// The checksum is no secret: one who rewrites it must still be stopped, by the tag or by the hash.
TEST(ChunkFrame, EveryBitFlipIsDetectedThoughTheChecksumWasMended) {
  Rng rng(4);
  const DomainKey key = counting_key();
  const Buffer plain = test::text_like(rng, 500);
  const ChunkHash hash = hash_chunk(key, plain);
  // Encrypted only: without a tag, a writer's version or flags may be forged where the content stays the
  // same.
  for (const ChunkCodecOptions& options : kAllOptions) {
    if (!options.encrypt) continue;
    const Buffer original = seal_chunk(options, key, hash, plain).value();
    for (std::size_t bit = 0; bit < 8 * original.size(); ++bit) {
      if (bit / 8 >= 16 && bit / 8 < 20) continue;
      Buffer stored = Buffer::copy_of(original.span());
      stored.data()[bit / 8] ^= std::byte{1} << (bit % 8);
      mend_checksum(stored);
      const Errc code = error_of(open_chunk(key, hash, stored));
      const bool newer = bit / 8 == 5;
      ASSERT_TRUE(code == Errc::corrupt || (newer && code == Errc::wrong_version)) << "bit " << bit;
    }
  }
}

TEST(ChunkFrame, EveryOtherLengthIsDetected) {
  Rng rng(5);
  const DomainKey key = counting_key();
  const Buffer plain = test::random_bytes(rng, 100);
  const ChunkHash hash = hash_chunk(key, plain);
  for (const ChunkCodecOptions& options : kAllOptions) {
    const Buffer stored = seal_chunk(options, key, hash, plain).value();
    for (std::size_t size = 0; size < stored.size(); ++size) {
      ASSERT_EQ(error_of(open_chunk(key, hash, stored.slice(0, size))), Errc::corrupt) << size;
      Buffer mended = Buffer::copy_of(stored.span().first(size));
      if (size >= 20) mend_checksum(mended);
      ASSERT_EQ(error_of(open_chunk(key, hash, mended)), Errc::corrupt) << size;
    }
    std::string longer(stored.text());
    Buffer grown = Buffer::adopt(longer + '\0');
    mend_checksum(grown);
    EXPECT_EQ(error_of(open_chunk(key, hash, grown)), Errc::corrupt);
  }
}

TEST(ChunkFrame, AnotherChunkOrDomainIsNotAccepted) {
  const DomainKey key = counting_key();
  DomainKey other = key;
  other.bytes[0] = std::byte{0xff};
  const Buffer a = Buffer::copy_of("content of one chunk");
  const Buffer b = Buffer::copy_of("content of the other");
  for (const ChunkCodecOptions& options : kAllOptions) {
    const Buffer stored = sealed(options, a);
    EXPECT_TRUE(open_chunk(key, hash_chunk(key, a), stored));
    EXPECT_EQ(error_of(open_chunk(key, hash_chunk(key, b), stored)), Errc::corrupt);
    EXPECT_EQ(error_of(open_chunk(other, hash_chunk(key, a), stored)), Errc::corrupt);
    // Unencrypted content belongs to no domain: its name in another one is as true.
    EXPECT_EQ(error_of(open_chunk(other, hash_chunk(other, a), stored)),
              options.encrypt ? Errc::corrupt : Errc::ok);
  }
}

TEST(ChunkFrame, SealingRepeatsAndNoNonceServesTwoMessages) {
  Rng rng(6);
  const Buffer text = test::text_like(rng, 5'000);
  EXPECT_EQ(sealed({}, text), sealed({}, text));
  std::set<std::string> nonces;
  for (const Buffer& plain : {text, test::text_like(rng, 5'000), test::random_bytes(rng, 5'000)})
    for (const Compression& how : {kNone, kLz4, kZstd, Compression{Compressor::zstd, 9}})
      nonces.emplace(sealed({how, true}, plain).text().substr(20, 12));
  // The noise is stored raw either way: one message, one nonce.
  EXPECT_EQ(nonces.size(), 9u);
}

TEST(ChunkFrame, CiphertextDoesNotShowTheContent) {
  const std::string plain(4'000, 'A');
  for (const Compression& how : {kNone, kLz4, kZstd})
    EXPECT_EQ(sealed({how, true}, as_bytes(plain)).text().find("AAAAA"), std::string_view::npos);
}

TEST(ChunkFrame, RefusesLengthsNoChunkHas) {
  const Buffer huge = Buffer::zeros(kMaxChunkLength + 1);
  EXPECT_EQ(error_of(seal_chunk({}, {}, {}, {})), Errc::invalid_argument);
  EXPECT_EQ(error_of(seal_chunk({}, {}, {}, huge)), Errc::invalid_argument);
}

TEST(ChunkFrame, SaysWhenItNeedsANewerVersion) {
  Buffer stored = sealed({kNone, false}, as_bytes("content"));
  stored.data()[4] = stored.data()[5] = std::byte{4};
  mend_checksum(stored);
  EXPECT_EQ(check_chunk(stored).error().code, Errc::wrong_version);
  stored.data()[5] = std::byte{1};  // a newer writer whose chunk we can still read
  mend_checksum(stored);
  EXPECT_TRUE(check_chunk(stored));
}

// --- deltas ---

struct Pair {
  Buffer base, plain;
  ChunkHash base_hash, hash;
  DeltaBase as_base() const { return {base_hash, base.span()}; }
};
// Some stretches are others, some bytes are gone, some are new.
Pair similar(Rng& rng, std::size_t size, int edits, bool noise = true) {
  Pair out;
  out.base = noise ? test::random_bytes(rng, size) : test::text_like(rng, size);
  std::string text(out.base.text());
  for (int i = 0; i < edits; ++i) {
    const std::size_t at = between(rng, 0, text.size() - 1);
    const std::size_t length = std::min<std::size_t>(between(rng, 1, 40), text.size() - at);
    text.replace(at, length, test::random_bytes(rng, between(rng, 1, 40)).text());
  }
  text.resize(std::min(text.size(), kMaxChunkLength));
  out.plain = Buffer::adopt(std::move(text));
  out.base_hash = hash_chunk(counting_key(), out.base);
  out.hash = hash_chunk(counting_key(), out.plain);
  return out;
}

TEST(ChunkDelta, OpensWithItsBaseToWhatWasSealed) {
  Rng rng(21);
  const DomainKey key = counting_key();
  for (int round = 0; round < 40; ++round) {
    const std::size_t size = round == 0 ? kMaxChunkLength : between(rng, 1'000, 200'000);
    const Pair pair = similar(rng, size, 5, round % 2 == 0);
    for (const bool encrypt : {false, true}) {
      const Buffer stored = seal_delta(key, pair.hash, pair.plain, pair.as_base(), encrypt).value();
      EXPECT_LT(stored.size(), 1'200u);
      EXPECT_EQ(stored, seal_delta(key, pair.hash, pair.plain, pair.as_base(), encrypt).value());
      const ChunkHeader header = check_chunk(stored).value();
      EXPECT_EQ(header.encoding, ChunkEncoding::delta);
      EXPECT_EQ(header.base, pair.base_hash);
      EXPECT_EQ(header.plain_length, pair.plain.size());
      EXPECT_EQ(delta_base(stored), pair.base_hash);
      EXPECT_EQ(stored_length(stored).value(), stored.size());
      EXPECT_EQ(open_chunk(key, pair.hash, stored, pair.base).value(), pair.plain);
    }
  }
  const Buffer whole = sealed({}, test::text_like(rng, 3'000));
  EXPECT_EQ(delta_base(whole), std::nullopt);
}

TEST(ChunkDelta, WhatHasNothingInCommonIsRefusedAndNeverGrows) {
  Rng rng(22);
  const DomainKey key = counting_key();
  for (const std::size_t size : {1u, 20u, 33u, 34u, 60u, 500u, 100'000u}) {
    const Buffer base = test::random_bytes(rng, 100'000), plain = test::random_bytes(rng, size);
    const DeltaBase as_base{hash_chunk(key, base), base.span()};
    const Result<Buffer> stored = seal_delta(key, hash_chunk(key, plain), plain, as_base);
    EXPECT_EQ(error_of(stored), Errc::not_found) << size;
  }
  EXPECT_EQ(error_of(seal_delta(key, {}, {}, {{}, ByteSpan{}})), Errc::invalid_argument);
}

TEST(ChunkDelta, AnotherBaseIsNotAccepted) {
  Rng rng(23);
  const DomainKey key = counting_key();
  const Pair pair = similar(rng, 20'000, 3);
  Buffer near = Buffer::copy_of(pair.base.span());
  near.data()[12'345] ^= std::byte{1};
  for (const bool encrypt : {false, true}) {
    const Buffer stored = seal_delta(key, pair.hash, pair.plain, pair.as_base(), encrypt).value();
    EXPECT_EQ(error_of(open_chunk(key, pair.hash, stored, near)), Errc::corrupt);
    EXPECT_EQ(error_of(open_chunk(key, pair.hash, stored, pair.plain)), Errc::corrupt);
    EXPECT_EQ(error_of(open_chunk(key, pair.hash, stored, {})), Errc::corrupt);
    EXPECT_EQ(error_of(open_chunk(key, pair.hash, stored)), Errc::corrupt);
    EXPECT_EQ(error_of(open_chunk(key, pair.base_hash, stored, pair.base)), Errc::corrupt);
  }
}

TEST(ChunkDelta, EveryBitFlipAndEveryOtherLengthIsDetected) {
  Rng rng(24);
  const DomainKey key = counting_key();
  const Pair pair = similar(rng, 600, 2);
  for (const bool encrypt : {false, true}) {
    const Buffer original = seal_delta(key, pair.hash, pair.plain, pair.as_base(), encrypt).value();
    const auto opens = [&](const Buffer& stored) { return open_chunk(key, pair.hash, stored, pair.base); };
    for (std::size_t bit = 0; bit < 8 * original.size(); ++bit) {
      Buffer stored = Buffer::copy_of(original.span());
      stored.data()[bit / 8] ^= std::byte{1} << (bit % 8);
      ASSERT_EQ(error_of(opens(stored)), Errc::corrupt) << "bit " << bit;
      ASSERT_EQ(delta_base(stored), std::nullopt) << "bit " << bit;
      if (!encrypt || (bit / 8 >= 16 && bit / 8 < 20)) continue;
      // Who mends the checksum is stopped by the tag: the base's name is bound, too.
      mend_checksum(stored);
      const Errc code = error_of(opens(stored));
      ASSERT_TRUE(code == Errc::corrupt || (bit / 8 == 5 && code == Errc::wrong_version)) << "bit " << bit;
    }
    for (std::size_t size = 0; size < original.size(); ++size) {
      Buffer cut = Buffer::copy_of(original.span().first(size));
      if (size >= 20) mend_checksum(cut);
      ASSERT_EQ(error_of(opens(cut)), Errc::corrupt) << size;
    }
  }
}

TEST(ChunkDelta, NoNonceServesTwoMessages) {
  Rng rng(25);
  const DomainKey key = counting_key();
  const Pair pair = similar(rng, 5'000, 3);
  std::set<std::string> nonces{
      std::string(seal_chunk({}, key, pair.hash, pair.plain).value().text().substr(20, 12))};
  for (int i = 0; i < 5; ++i) {
    Buffer base = Buffer::copy_of(pair.base.span());
    base.data()[i] ^= std::byte{1};  // mostly the same frame comes of it
    const Buffer stored =
        seal_delta(key, pair.hash, pair.plain, {hash_chunk(key, base), base.span()}).value();
    nonces.emplace(stored.text().substr(52, 12));
  }
  EXPECT_EQ(nonces.size(), 6u);
}

Buffer golden(const std::string& name) {
  std::ifstream file(std::string(CLAUDEFS_GOLDEN_DIR) + "/" + name);
  EXPECT_TRUE(file) << name << " is missing";
  std::string out;
  for (char high = 0, low = 0; file >> high >> low;)
    out += static_cast<char>(std::stoi(std::string{high, low}, nullptr, 16));
  return Buffer::adopt(std::move(out));
}

TEST(ChunkFrame, WritesTheDocumentedFormat) {
  const std::string plain = "ClaudeFS golden chunk, version 1";
  EXPECT_EQ(sealed({kNone, false}, as_bytes(plain)), golden("chunk_v1_raw.hex"));
  EXPECT_EQ(sealed({kNone, true}, as_bytes(plain)), golden("chunk_v1_raw_encrypted.hex"));
}

// LZ4 may one day pack the same content otherwise, so these are only read.
TEST(ChunkFrame, ReadsTheDocumentedFormat) {
  const DomainKey key = counting_key();
  const std::string plain(1'000, 'z');
  const ChunkHash hash = hash_chunk(key, as_bytes(plain));
  for (const char* name : {"chunk_v1_lz4.hex", "chunk_v1_lz4_encrypted.hex"}) {
    const Buffer stored = golden(name);
    ASSERT_EQ(check_chunk(stored).value().encoding, ChunkEncoding::lz4) << name;
    EXPECT_EQ(open_chunk(key, hash, stored).value().text(), plain) << name;
  }
}

// zstd may one day pack otherwise, too. The content of the base is not in the file: it is what it says.
TEST(ChunkDelta, ReadsTheDocumentedFormat) {
  const DomainKey key = counting_key();
  std::string base;
  for (int i = 0; i < 100; ++i) base += fmt::format("line {} of the base\n", i * i * 7919 % 10007);
  std::string plain = base;
  plain.replace(700, 5, "edited here");
  const ChunkHash hash = hash_chunk(key, as_bytes(plain));
  for (const char* name : {"chunk_v3_delta.hex", "chunk_v3_delta_encrypted.hex"}) {
    const Buffer stored = golden(name);
    const ChunkHeader header = check_chunk(stored).value();
    EXPECT_EQ(header.encoding, ChunkEncoding::delta) << name;
    EXPECT_EQ(header.base, hash_chunk(key, as_bytes(base))) << name;
    EXPECT_EQ(open_chunk(key, hash, stored, as_bytes(base)).value().text(), plain) << name;
  }
}

}  // namespace
}  // namespace claudefs::codec
