// Goal: no stored chunk, however damaged or forged, does more than give an error; and what is sealed opens.
// Method: the input's first byte picks what to do with the rest. The checksum is mended in some modes, or the
// fuzzer would never get past it; the key is known, as it is to a hostile client of the same domain.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "base/crc32c.h"
#include "codec/chunk_frame.h"

namespace {

using namespace claudefs;
using namespace claudefs::codec;

void require(bool holds) {
  if (!holds) std::abort();
}

void open_forged(Buffer stored, bool mend) {
  if (mend && stored.size() >= 20) {
    const std::uint32_t sum = crc32c(stored.span().subspan(20), crc32c(stored.span().first(16)));
    for (int i = 0; i < 4; ++i) stored.data()[16 + i] = static_cast<std::byte>(sum >> (8 * i));
  }
  const DomainKey key;
  const Result<Buffer> content = open_chunk(key, {}, stored, stored.span());
  require(!content);  // nothing hashes to zero
  require(content.error().code == Errc::corrupt || content.error().code == Errc::wrong_version);
  const Result<ChunkHeader> header = check_chunk(stored);
  if (header) require(header->plain_length <= kMaxChunkLength && header->body_length <= stored.size());
}

// A damaged copy of a real chunk: one bit, wherever the input says.
void seal_damage_open(ByteSpan plain, std::uint8_t mode) {
  if (plain.size() < 3) return;
  const std::size_t where = static_cast<std::size_t>(plain[0]) << 8 | static_cast<std::size_t>(plain[1]);
  plain = plain.subspan(2);
  const DomainKey key;
  const ChunkHash hash = hash_chunk(key, plain);
  Buffer stored =
      seal_chunk({{static_cast<Compressor>(mode / 16 % 3), 1}, (mode & 8) != 0}, key, hash, plain).value();
  const Result<Buffer> back = open_chunk(key, hash, stored);
  require(back && std::ranges::equal(back->span(), plain));
  stored.data()[where / 8 % stored.size()] ^= std::byte{1} << (where % 8);
  require(!open_chunk(key, hash, stored));
}

// The first half is the base of the second, or of the whole.
void seal_damage_open_delta(ByteSpan plain, std::uint8_t mode) {
  if (plain.size() < 4) return;
  const std::size_t where = static_cast<std::size_t>(plain[0]) << 8 | static_cast<std::size_t>(plain[1]);
  plain = plain.subspan(2);
  const ByteSpan base = plain.first(plain.size() / 2);
  if ((mode & 8) != 0) plain = plain.subspan(plain.size() / 2);
  const DomainKey key;
  const ChunkHash hash = hash_chunk(key, plain);
  const DeltaBase as_base{hash_chunk(key, base), base};
  const Result<Buffer> sealed = seal_delta(key, hash, plain, as_base, (mode & 16) != 0);
  if (!sealed) return require(sealed.error().code == Errc::not_found);
  Buffer stored = *sealed;
  require(delta_base(stored) == as_base.hash && stored_length(stored).value() == stored.size());
  const Result<Buffer> back = open_chunk(key, hash, stored, base);
  require(back && std::ranges::equal(back->span(), plain));
  stored.data()[where / 8 % stored.size()] ^= std::byte{1} << (where % 8);
  require(!open_chunk(key, hash, stored, base) && !delta_base(stored));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const ByteSpan rest(reinterpret_cast<const std::byte*>(data) + 1, size - 1);
  if ((data[0] & 5) == 5) {
    seal_damage_open_delta(rest, data[0]);
  } else if ((data[0] & 1) != 0) {
    seal_damage_open(rest, data[0]);
  } else {
    open_forged(Buffer::copy_of(rest), (data[0] & 2) != 0);
  }
  return 0;
}
