#include "codec/chunk_frame.h"

#include <algorithm>

#include <fmt/format.h>

#include "codec/aead.h"
#include "codec/detail/chunk_layout.h"

namespace claudefs::codec {

namespace {

std::unexpected<Error> damaged(const ChunkHash& hash, std::string_view why) {
  return fail(Errc::corrupt, fmt::format("chunk {}: {}", hash.to_hex().substr(0, 16), why));
}

// Encrypts the body where it lies and puts nonce and tag around it.
void encrypt(const DomainKey& domain, const ChunkHash& hash, const ChunkHeader& header,
             MutableByteSpan stored) {
  const detail::ChunkCipher cipher(domain, hash, stored);
  const MutableByteSpan body = stored.subspan(detail::body_offset(true), header.body_length);
  const AeadNonce nonce = cipher.nonce_for(body);
  const AeadTag tag = aead_seal({cipher.chunk_key, nonce, cipher.associated}, body, body);
  std::ranges::copy(nonce, stored.subspan(detail::kHeader).begin());
  std::ranges::copy(tag, stored.last(detail::kTag).begin());
}

// The encoded content; `stored` has passed check_chunk.
Result<Buffer> decrypt(const DomainKey& domain, const ChunkHash& hash, const ChunkHeader& header,
                       const Buffer& stored) {
  const ByteSpan all = stored.span();
  AeadNonce nonce;
  AeadTag tag;
  std::ranges::copy(all.subspan(detail::kHeader, detail::kNonce), nonce.begin());
  std::ranges::copy(all.last(detail::kTag), tag.begin());
  const detail::ChunkCipher cipher(domain, hash, all);
  Buffer body = Buffer::allocate(header.body_length);
  if (!aead_open({cipher.chunk_key, nonce, cipher.associated},
                 all.subspan(detail::body_offset(true), header.body_length), tag, body.mutable_span()))
    return damaged(hash, "does not decrypt: damaged, or sealed under another key");
  return body;
}

}  // namespace

Result<Buffer> seal_chunk(const ChunkCodecOptions& options, const DomainKey& domain, const ChunkHash& hash,
                          ByteSpan plain) {
  if (plain.empty() || plain.size() > kMaxChunkLength)
    return fail(Errc::invalid_argument,
                fmt::format("a chunk has 1 to {} bytes, this one {}", kMaxChunkLength, plain.size()));

  const auto length = static_cast<std::uint32_t>(plain.size());
  ChunkHeader header{.encrypted = options.encrypt, .plain_length = length, .body_length = length};
  Buffer stored = Buffer::allocate(detail::stored_size(header));
  const MutableByteSpan body = stored.mutable_span().subspan(detail::body_offset(options.encrypt), length);
  const std::size_t packed = compress(options.compression, plain, body);
  if (packed != 0) {
    header.encoding = options.compression.by == Compressor::zstd ? ChunkEncoding::zstd : ChunkEncoding::lz4;
    header.body_length = static_cast<std::uint32_t>(packed);
    stored = stored.slice(0, detail::stored_size(header));
  } else {
    std::ranges::copy(plain, body.begin());
  }

  detail::put_header(header, stored.mutable_span());
  if (options.encrypt) encrypt(domain, hash, header, stored.mutable_span());
  detail::put_checksum(stored.mutable_span());
  return stored;
}

Result<Buffer> open_chunk(const DomainKey& domain, const ChunkHash& expected, const Buffer& stored) {
  TRY_ASSIGN(const ChunkHeader header, check_chunk(stored));
  Buffer content = stored.slice(detail::body_offset(header.encrypted), header.body_length);
  if (header.encrypted) {
    TRY_ASSIGN(content, decrypt(domain, expected, header, stored));
  }
  if (header.encoding != ChunkEncoding::raw) {
    Buffer unpacked = Buffer::allocate(header.plain_length);
    const auto decompress = header.encoding == ChunkEncoding::zstd ? decompress_zstd : decompress_lz4;
    if (!decompress(content, unpacked.mutable_span())) return damaged(expected, "does not decompress");
    content = std::move(unpacked);
  }
  if (hash_chunk(domain, content) != expected) return damaged(expected, "the content has another hash");
  return content;
}

}  // namespace claudefs::codec
