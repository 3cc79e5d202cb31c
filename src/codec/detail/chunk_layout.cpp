#include "codec/detail/chunk_layout.h"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>

#include "base/crc32c.h"
#include "codec/detail/blake3.h"

namespace claudefs::codec {

namespace {

constexpr std::string_view kMagic = "CFCK";
constexpr std::uint8_t kVersion = 3;  // that we read

// The first that knows the encoding: also the least that can read such a chunk.
std::uint8_t version_of(ChunkEncoding encoding) {
  switch (encoding) {
    case ChunkEncoding::delta:
      return 3;
    case ChunkEncoding::zstd:
      return 2;
    default:
      return 1;
  }
}

constexpr std::uint8_t kEncrypted = 1;

void put32(MutableByteSpan at, std::uint32_t value) {
  for (std::size_t i = 0; i < 4; ++i) at[i] = static_cast<std::byte>(value >> (8 * i));
}
std::uint32_t get32(ByteSpan at) {
  std::uint32_t out = 0;
  for (std::size_t i = 0; i < 4; ++i) out |= static_cast<std::uint32_t>(at[i]) << (8 * i);
  return out;
}
std::uint32_t checksum_of(ByteSpan stored) {
  return crc32c(stored.subspan(detail::kHeader), crc32c(stored.first(detail::kBoundHeader)));
}

bool fields_hold(const ChunkHeader& header, std::uint8_t flags, std::size_t size) {
  if ((flags & ~kEncrypted) != 0) return false;
  if (header.plain_length == 0 || header.plain_length > kMaxChunkLength) return false;
  if (detail::stored_size(header) != size) return false;
  switch (header.encoding) {
    case ChunkEncoding::raw:
      return header.body_length == header.plain_length;
    case ChunkEncoding::lz4:
    case ChunkEncoding::zstd:
      return header.body_length < header.plain_length;
    case ChunkEncoding::delta:
      return header.body_length + detail::kHash < header.plain_length;
  }
  return false;
}

}  // namespace

namespace detail {

void put_header(const ChunkHeader& header, MutableByteSpan stored) {
  std::ranges::copy(as_bytes(kMagic), stored.begin());
  stored[4] = stored[5] = std::byte{version_of(header.encoding)};
  stored[6] = static_cast<std::byte>(header.encoding);
  stored[7] = static_cast<std::byte>(header.encrypted ? kEncrypted : 0);
  put32(stored.subspan(8), header.plain_length);
  put32(stored.subspan(12), header.body_length);
  if (header.base) std::ranges::copy(header.base->bytes, stored.subspan(kHeader).begin());
}

void put_checksum(MutableByteSpan stored) { put32(stored.subspan(kBoundHeader), checksum_of(stored)); }

ChunkCipher::ChunkCipher(const DomainKey& domain, const ChunkHash& hash, const ChunkHeader& header,
                         ByteSpan stored) {
  keyed_hash(derive_key(domain, "claudefs chunk encryption v1"), {hash.bytes}, chunk_key.bytes);
  keyed_hash(derive_key(domain, "claudefs chunk nonce v1"), {hash.bytes}, nonce_key.bytes);
  auto rest = associated_.begin();
  if (header.base) rest = std::ranges::copy(header.base->bytes, rest).out;
  rest = std::ranges::copy(hash.bytes, rest).out;
  rest = std::ranges::copy(stored.first(kBoundHeader), rest).out;
  associated_size_ = static_cast<std::size_t>(rest - associated_.begin());
}

AeadNonce ChunkCipher::nonce_for(ByteSpan body) const {
  // The body first: BLAKE3 is a quarter slower over one that does not begin at a chunk of its tree.
  AeadNonce out;
  keyed_hash(nonce_key, {body, associated()}, out);
  return out;
}

}  // namespace detail

namespace {
bool says_delta(ByteSpan stored) { return static_cast<ChunkEncoding>(stored[6]) == ChunkEncoding::delta; }
}  // namespace

std::optional<ChunkHash> delta_base(ByteSpan stored) {
  if (stored.size() < detail::kHeader || as_text(stored.first(4)) != kMagic || !says_delta(stored))
    return std::nullopt;
  const Result<ChunkHeader> header = check_chunk(stored);
  return header ? header->base : std::nullopt;
}

Result<std::size_t> stored_length(ByteSpan begin) {
  if (begin.size() < detail::kHeader || as_text(begin.first(4)) != kMagic)
    return fail(Errc::corrupt, "not a stored chunk");
  ChunkHeader header;
  if (says_delta(begin)) header.base.emplace();
  header.encrypted = (static_cast<std::uint8_t>(begin[7]) & kEncrypted) != 0;
  header.body_length = get32(begin.subspan(12));
  return detail::stored_size(header);
}

Result<ChunkHeader> check_chunk(ByteSpan stored) {
  if (stored.size() < detail::kHeader || as_text(stored.first(4)) != kMagic)
    return fail(Errc::corrupt, "not a stored chunk");
  // Before the versions: a flipped bit there must not pass for a newer format.
  if (get32(stored.subspan(detail::kBoundHeader)) != checksum_of(stored))
    return fail(Errc::corrupt, "stored chunk: the checksum does not hold");
  const auto least = static_cast<std::uint8_t>(stored[5]);
  if (least > kVersion)
    return fail(Errc::wrong_version,
                fmt::format("stored chunk needs a claudefs that reads version {}; upgrade this node", least));

  ChunkHeader header{.encoding = static_cast<ChunkEncoding>(stored[6]),
                     .encrypted = (static_cast<std::uint8_t>(stored[7]) & kEncrypted) != 0,
                     .plain_length = get32(stored.subspan(8)),
                     .body_length = get32(stored.subspan(12)),
                     .base = std::nullopt};
  if (says_delta(stored)) {
    header.base.emplace();
    if (stored.size() < detail::body_offset(header))
      return fail(Errc::corrupt, "stored chunk: the header contradicts itself");
    std::ranges::copy(stored.subspan(detail::kHeader, detail::kHash), header.base->bytes.begin());
  }
  if (!fields_hold(header, static_cast<std::uint8_t>(stored[7]), stored.size()))
    return fail(Errc::corrupt, "stored chunk: the header contradicts itself");
  return header;
}

}  // namespace claudefs::codec
