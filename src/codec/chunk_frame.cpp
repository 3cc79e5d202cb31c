#include "codec/chunk_frame.h"

#include <algorithm>

#include <fmt/format.h>

#include "codec/aead.h"
#include "codec/delta.h"
#include "codec/detail/chunk_layout.h"

namespace claudefs::codec {

namespace {

std::unexpected<Error> damaged(const ChunkHash& hash, std::string_view why) {
  return fail(Errc::corrupt, fmt::format("chunk {}: {}", hash.to_hex().substr(0, 16), why));
}

// Encrypts the body where it lies and puts nonce and tag around it.
void encrypt(const DomainKey& domain, const ChunkHash& hash, const ChunkHeader& header,
             MutableByteSpan stored) {
  const detail::ChunkCipher cipher(domain, hash, header, stored);
  const MutableByteSpan body = stored.subspan(detail::body_offset(header), header.body_length);
  const AeadNonce nonce = cipher.nonce_for(body);
  const AeadTag tag = aead_seal({cipher.chunk_key, nonce, cipher.associated()}, body, body);
  std::ranges::copy(nonce, stored.subspan(detail::nonce_offset(header)).begin());
  std::ranges::copy(tag, stored.last(detail::kTag).begin());
}

// The encoded content; `stored` has passed check_chunk.
Result<Buffer> decrypt(const DomainKey& domain, const ChunkHash& hash, const ChunkHeader& header,
                       const Buffer& stored) {
  const ByteSpan all = stored.span();
  AeadNonce nonce;
  AeadTag tag;
  std::ranges::copy(all.subspan(detail::nonce_offset(header), detail::kNonce), nonce.begin());
  std::ranges::copy(all.last(detail::kTag), tag.begin());
  const detail::ChunkCipher cipher(domain, hash, header, all);
  Buffer body = Buffer::allocate(header.body_length);
  if (!aead_open({cipher.chunk_key, nonce, cipher.associated()},
                 all.subspan(detail::body_offset(header), header.body_length), tag, body.mutable_span()))
    return damaged(hash, "does not decrypt: damaged, or sealed under another key");
  return body;
}

// Around the body that is in its place already.
Buffer finish(const DomainKey& domain, const ChunkHash& hash, const ChunkHeader& header, Buffer stored) {
  stored = stored.slice(0, detail::stored_size(header));
  detail::put_header(header, stored.mutable_span());
  if (header.encrypted) encrypt(domain, hash, header, stored.mutable_span());
  detail::put_checksum(stored.mutable_span());
  return stored;
}

Result<void> check_length(ByteSpan plain) {
  if (plain.empty() || plain.size() > kMaxChunkLength)
    return fail(Errc::invalid_argument,
                fmt::format("a chunk has 1 to {} bytes, this one {}", kMaxChunkLength, plain.size()));
  return {};
}

Result<> decode(const ChunkHeader& header, ByteSpan content, ByteSpan base, MutableByteSpan out) {
  if (header.encoding == ChunkEncoding::delta) return decompress_delta(content, base, out);
  return header.encoding == ChunkEncoding::zstd ? decompress_zstd(content, out)
                                                : decompress_lz4(content, out);
}

}  // namespace

Result<Buffer> seal_chunk(const ChunkCodecOptions& options, const DomainKey& domain, const ChunkHash& hash,
                          ByteSpan plain) {
  TRY(check_length(plain));
  const auto length = static_cast<std::uint32_t>(plain.size());
  ChunkHeader header{.encrypted = options.encrypt, .plain_length = length, .body_length = length};
  Buffer stored = Buffer::allocate(detail::stored_size(header));
  const MutableByteSpan body = stored.mutable_span().subspan(detail::body_offset(header), length);
  const std::size_t packed = compress(options.compression, plain, body);
  if (packed != 0) {
    header.encoding = options.compression.by == Compressor::zstd ? ChunkEncoding::zstd : ChunkEncoding::lz4;
    header.body_length = static_cast<std::uint32_t>(packed);
  } else {
    std::ranges::copy(plain, body.begin());
  }
  return finish(domain, hash, header, std::move(stored));
}

Result<Buffer> seal_delta(const DomainKey& domain, const ChunkHash& hash, ByteSpan plain, DeltaBase base,
                          bool encrypt) {
  TRY(check_length(plain));
  const auto length = static_cast<std::uint32_t>(plain.size());
  ChunkHeader header{.encoding = ChunkEncoding::delta,
                     .encrypted = encrypt,
                     .plain_length = length,
                     .body_length = length,
                     .base = base.hash};
  Buffer stored = Buffer::allocate(detail::stored_size(header));
  const std::size_t room = length - std::min<std::size_t>(length, detail::kHash + 1);
  const std::size_t packed =
      compress_delta(plain, base.plain, stored.mutable_span().subspan(detail::body_offset(header), room));
  if (packed == 0) return fail(Errc::not_found, "the two chunks have too little in common");
  header.body_length = static_cast<std::uint32_t>(packed);
  return finish(domain, hash, header, std::move(stored));
}

Result<Buffer> open_chunk(const DomainKey& domain, const ChunkHash& expected, const Buffer& stored,
                          ByteSpan base) {
  TRY_ASSIGN(const ChunkHeader header, check_chunk(stored));
  Buffer content = stored.slice(detail::body_offset(header), header.body_length);
  if (header.encrypted) {
    TRY_ASSIGN(content, decrypt(domain, expected, header, stored));
  }
  if (header.encoding != ChunkEncoding::raw) {
    Buffer unpacked = Buffer::allocate(header.plain_length);
    if (!decode(header, content, base, unpacked.mutable_span()))
      return damaged(expected, "does not decompress");
    content = std::move(unpacked);
  }
  if (hash_chunk(domain, content) != expected) return damaged(expected, "the content has another hash");
  return content;
}

}  // namespace claudefs::codec
