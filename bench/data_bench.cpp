// The processor's share of the data path on one core: bytes on their way into segments (cut, hashed, sealed,
// joined to a segment, coded 2+1, checksummed block by block as a node stores them) and back (blocks checked,
// shards joined, chunks opened). Each stage runs alone over all the bytes, beside the library below it; then
// all of them segment by segment, beside what the stages' own speeds allow in sequence. Seconds are the
// thread's own, so that a busy machine does not count, and the bytes are plain bytes. Usage: bench_data
// [seconds per line]
#include <fmt/format.h>
#include <isa-l/erasure_code.h>
#include <llvm-c/blake3.h>
#include <lz4.h>
#include <openssl/evp.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/ids.h"
#include "codec/chunk_frame.h"
#include "codec/chunker.h"
#include "codec/erasure.h"

using namespace claudefs;

namespace {

constexpr std::size_t kSegment = 2u << 20;
constexpr std::size_t kSegments = 16;  // more than the caches next to the core hold
constexpr std::size_t kBlock = 4096;   // what a stored checksum covers
constexpr unsigned kData = 2, kParity = 1;
double seconds_per_line = 1;
const codec::DomainKey key;

struct Segment {
  ByteSpan plain;
  std::vector<ByteSpan> chunks;
  std::vector<codec::ChunkHash> hashes;
  std::vector<Buffer> stored;
  Buffer whole;
  std::vector<Buffer> shards;
  std::vector<std::vector<u32>> checksums;  // of each shard's blocks
  Buffer read;
};
using Stage = std::function<void(Segment&)>;

// --- the stages ---

void cut(Segment& s) {
  codec::Chunker cutter;
  s.chunks.clear();
  for (ByteSpan rest = s.plain; !rest.empty(); rest = rest.subspan(s.chunks.back().size()))
    s.chunks.push_back(rest.first(cutter.next_cut(rest, true)));
}
void hash(Segment& s) {
  s.hashes.clear();
  for (const ByteSpan chunk : s.chunks) s.hashes.push_back(codec::hash_chunk(key, chunk));
}
void seal(Segment& s) {
  s.stored.clear();
  for (std::size_t i = 0; i < s.chunks.size(); ++i)
    s.stored.push_back(codec::seal_chunk({}, key, s.hashes[i], s.chunks[i]).value());
}
std::size_t total(const std::vector<Buffer>& pieces) {
  std::size_t bytes = 0;
  for (const Buffer& piece : pieces) bytes += piece.size();
  return bytes;
}
Buffer joined(const std::vector<Buffer>& pieces, std::size_t bytes) {
  Buffer whole = Buffer::allocate(bytes);
  std::size_t at = 0;
  for (const Buffer& piece : pieces) {
    const std::size_t length = std::min(piece.size(), bytes - at);
    std::memcpy(whole.data() + at, piece.data(), length);
    at += length;
  }
  return whole;
}
void join(Segment& s) { s.whole = joined(s.stored, total(s.stored)); }
void encode(Segment& s) { s.shards = codec::ErasureCode::create(kData, kParity).value().encode(s.whole); }
std::vector<u32> checksums_of(ByteSpan shard) {
  std::vector<u32> out;
  for (std::size_t at = 0; at < shard.size(); at += kBlock)
    out.push_back(crc32c(shard.subspan(at, std::min(kBlock, shard.size() - at))));
  return out;
}
void checksum(Segment& s) {
  s.checksums.clear();
  for (const Buffer& shard : s.shards) s.checksums.push_back(checksums_of(shard));
}
void check(Segment& s) {
  for (unsigned i = 0; i < kData; ++i) CFS_CHECK(checksums_of(s.shards[i]) == s.checksums[i]);
}
void gather(Segment& s) {
  s.read = joined(std::vector<Buffer>(s.shards.begin(), s.shards.begin() + kData), s.whole.size());
}
void open(Segment& s) {
  std::size_t at = 0;
  for (std::size_t i = 0; i < s.stored.size(); ++i) {
    const Result<Buffer> plain = codec::open_chunk(key, s.hashes[i], s.read.slice(at, s.stored[i].size()));
    CFS_CHECK(plain && plain->size() == s.chunks[i].size());
    at += s.stored[i].size();
  }
}

// --- the libraries below them, over the same bytes ---

void memcpy_alone(Segment& s) {
  static Buffer to = Buffer::allocate(kSegment);
  std::memcpy(to.data(), s.plain.data(), s.plain.size());
  asm volatile("" ::: "memory");
}
void blake3(const char* from, std::size_t length) {
  static const std::array<uint8_t, 32> zeros{};
  std::array<uint8_t, 32> out;
  llvm_blake3_hasher hasher;
  llvm_blake3_hasher_init_keyed(&hasher, zeros.data());
  llvm_blake3_hasher_update(&hasher, from, length);
  llvm_blake3_hasher_finalize(&hasher, out.data(), out.size());
}
void blake3_alone(Segment& s) {
  for (const ByteSpan chunk : s.chunks) blake3(reinterpret_cast<const char*>(chunk.data()), chunk.size());
}
// LZ4 where the chunk is stored compressed; BLAKE3 of what is stored, which its nonce is made of;
// AES-256-GCM, one context and key for all messages.
void sealing_alone(Segment& s) {
  static std::vector<char> packed(LZ4_COMPRESSBOUND(codec::kMaxChunkLength));
  static std::vector<unsigned char> cipher(packed.size());
  static const std::array<unsigned char, 32> zeros{};
  static EVP_CIPHER_CTX* context = [] {
    EVP_CIPHER_CTX* made = EVP_CIPHER_CTX_new();
    EVP_EncryptInit_ex(made, EVP_aes_256_gcm(), nullptr, zeros.data(), zeros.data());
    return made;
  }();
  for (std::size_t i = 0; i < s.chunks.size(); ++i) {
    const auto* from = reinterpret_cast<const char*>(s.chunks[i].data());
    int length = static_cast<int>(s.chunks[i].size());
    if (s.stored[i].size() < s.chunks[i].size()) {
      length = LZ4_compress_default(from, packed.data(), length, static_cast<int>(packed.size()));
      from = packed.data();
    }
    blake3(from, static_cast<std::size_t>(length));
    int done = 0;
    EVP_EncryptInit_ex(context, nullptr, nullptr, nullptr, zeros.data());
    EVP_EncryptUpdate(context, cipher.data(), &done, reinterpret_cast<const unsigned char*>(from), length);
    EVP_EncryptFinal_ex(context, cipher.data() + done, &done);
  }
}
void isal_alone(Segment& s) {
  static const std::vector<unsigned char> tables = [] {
    std::vector<unsigned char> matrix((kData + kParity) * kData), out(32 * kData * kParity);
    gf_gen_cauchy1_matrix(matrix.data(), kData + kParity, kData);
    ec_init_tables(kData, kParity, &matrix[kData * kData], out.data());
    return out;
  }();
  static std::vector<unsigned char> parity(kSegment);
  const int length = static_cast<int>(s.whole.size() / kData);
  unsigned char* from[kData];
  for (unsigned i = 0; i < kData; ++i)
    from[i] = reinterpret_cast<unsigned char*>(s.whole.data()) + i * static_cast<unsigned>(length);
  unsigned char* to[] = {parity.data()};
  ec_encode_data(length, kData, kParity, const_cast<unsigned char*>(tables.data()), from, to);
}

// --- measuring ---

double thread_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}
// GB a second of all segments, in the median of the passes.
double speed_of(std::vector<Segment>& segments, const std::vector<Stage>& stages) {
  std::vector<double> passes;
  for (double spent = 0; spent < seconds_per_line || passes.size() < 3; spent += passes.back()) {
    const double began = thread_seconds();
    for (Segment& segment : segments)
      for (const Stage& stage : stages) stage(segment);
    passes.push_back(thread_seconds() - began);
  }
  std::ranges::nth_element(passes, passes.begin() + static_cast<std::ptrdiff_t>(passes.size() / 2));
  return static_cast<double>(kSegment * segments.size()) / passes[passes.size() / 2] / 1e9;
}

struct Named {
  std::string_view name;
  Stage stage;
  std::string_view library;
  Stage alone;
};

void measure(std::string_view what, std::vector<Segment>& segments, const std::vector<Named>& stages) {
  std::vector<Stage> all;
  double seconds_a_gb = 0;
  for (const Named& one : stages) {
    const double speed = speed_of(segments, {one.stage});
    fmt::print("  {:<10} {:>7.2f} GB/s", one.name, speed);
    if (one.alone) {
      const double alone = speed_of(segments, {one.alone});
      fmt::print("   {:<20} {:>7.2f} GB/s   {:.2f} of it", one.library, alone, speed / alone);
    }
    fmt::print("\n");
    std::fflush(stdout);
    seconds_a_gb += 1 / speed;
    all.push_back(one.stage);
  }
  const double whole = speed_of(segments, all);
  fmt::print("  {:<10} {:>7.2f} GB/s   {:<20} {:>7.2f} GB/s   {:.2f} of it\n", what, whole,
             "stages in sequence", 1 / seconds_a_gb, whole * seconds_a_gb);
}

std::string content(bool text) {
  std::mt19937_64 random(text);
  std::string out;
  while (out.size() < kSegment * kSegments) {
    const u64 word = random();
    if (text)
      out += "word" + std::to_string(word % 500) + " ";
    else
      out.append(reinterpret_cast<const char*>(&word), sizeof word);
  }
  return out;
}

void measure_all(std::string_view name, bool text) {
  const Buffer stream = Buffer::adopt(content(text));
  std::vector<Segment> segments(kSegments);
  for (std::size_t i = 0; i < kSegments; ++i)
    segments[i].plain = stream.span().subspan(i * kSegment, kSegment);
  const std::vector<Named> in = {{"cut", cut, "", {}},
                                 {"hash", hash, "BLAKE3", blake3_alone},
                                 {"seal", seal, text ? "LZ4, BLAKE3, GCM" : "BLAKE3, GCM", sealing_alone},
                                 {"join", join, "", {}},
                                 {"encode", encode, "ISA-L", isal_alone},
                                 {"checksum", checksum, "", {}}};
  for (Segment& segment : segments)
    for (const Named& one : in) one.stage(segment);
  std::size_t stored = 0;
  for (const Segment& segment : segments) stored += segment.whole.size();
  fmt::print("{}, stored in {:.2f} of its size; memcpy {:.2f} GB/s\n", name,
             static_cast<double>(stored) / static_cast<double>(stream.size()),
             speed_of(segments, {memcpy_alone}));
  measure("write", segments, in);
  measure("read", segments, {{"check", check, "", {}}, {"gather", gather, "", {}}, {"open", open, "", {}}});
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) seconds_per_line = std::stod(argv[1]);
  measure_all("noise", false);
  measure_all("text", true);
}
