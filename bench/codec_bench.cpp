// Each stage of the codec alone, beside memcpy and the library below it, and the whole way of a chunk.
//
// Bytes per second count the content (plain bytes, data bytes of a segment). One thread; content fits the
// second-level or third-level cache, as a chunk in flight does.
#include <benchmark/benchmark.h>
#include <isa-l/erasure_code.h>
#include <llvm-c/blake3.h>
#include <lz4.h>
#include <openssl/evp.h>

#include <array>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "base/crc32c.h"
#include "codec/aead.h"
#include "codec/chunk_frame.h"
#include "codec/chunker.h"
#include "codec/compress.h"
#include "codec/erasure.h"
#include "codec/sketch.h"

namespace claudefs::codec {
namespace {

enum Content : int { kNoise = 0, kText = 1 };

Buffer content(std::size_t size, int kind = kNoise) {
  std::mt19937_64 rng(size);
  std::string out;
  while (out.size() < size) {
    if (kind == kText) {
      out += "word" + std::to_string(rng() % 500) + " ";
    } else {
      const std::uint64_t word = rng();
      out.append(reinterpret_cast<const char*>(&word), sizeof word);
    }
  }
  out.resize(size);
  return Buffer::adopt(std::move(out));
}
void count(benchmark::State& state, std::size_t bytes) {
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * bytes));
}

void memcpy_alone(benchmark::State& state) {
  const Buffer from = content(state.range(0));
  Buffer to = Buffer::allocate(from.size());
  for (auto _ : state) {
    std::memcpy(to.data(), from.data(), from.size());
    benchmark::ClobberMemory();
  }
  count(state, from.size());
}

void chunker(benchmark::State& state) {
  const Buffer stream = content(4 << 20);
  for (auto _ : state) {
    Chunker cutter;
    for (ByteSpan rest = stream; !rest.empty();) rest = rest.subspan(cutter.next_cut(rest, true));
  }
  count(state, stream.size());
}
// No cut below the most and hardly any skipping: what the scan itself does.
void chunker_scan(benchmark::State& state) {
  const Buffer stream = content(4 << 20);
  for (auto _ : state) {
    Chunker cutter({.least = 64, .target = std::size_t{1} << 30, .most = std::size_t{1} << 31});
    benchmark::DoNotOptimize(cutter.next_cut(stream, false));
  }
  count(state, stream.size());
}

void hash(benchmark::State& state) {
  const Buffer plain = content(state.range(0));
  const DomainKey key;
  for (auto _ : state) benchmark::DoNotOptimize(hash_chunk(key, plain));
  count(state, plain.size());
}
void blake3_alone(benchmark::State& state) {
  const Buffer plain = content(state.range(0));
  const std::array<uint8_t, 32> key{};
  std::array<uint8_t, 32> out;
  for (auto _ : state) {
    llvm_blake3_hasher hasher;
    llvm_blake3_hasher_init_keyed(&hasher, key.data());
    llvm_blake3_hasher_update(&hasher, plain.data(), plain.size());
    llvm_blake3_hasher_finalize(&hasher, out.data(), out.size());
    benchmark::DoNotOptimize(out);
  }
  count(state, plain.size());
}

void compress(benchmark::State& state) {
  const Buffer plain = content(state.range(0), static_cast<int>(state.range(1)));
  Buffer out = Buffer::allocate(compressed_room(plain.size()));
  for (auto _ : state) benchmark::DoNotOptimize(codec::compress({}, plain, out.mutable_span()));
  count(state, plain.size());
}
void lz4_alone(benchmark::State& state) {
  const Buffer plain = content(state.range(0), static_cast<int>(state.range(1)));
  std::vector<char> out(LZ4_compressBound(static_cast<int>(plain.size())));
  int packed = 0;
  for (auto _ : state) {
    packed = LZ4_compress_default(plain.text().data(), out.data(), static_cast<int>(plain.size()),
                                  static_cast<int>(out.size()));
    benchmark::DoNotOptimize(packed);
  }
  count(state, plain.size());
  state.counters["ratio"] = static_cast<double>(plain.size()) / packed;
}
void decompress(benchmark::State& state) {
  const Buffer plain = content(state.range(0), kText);
  Buffer packed = Buffer::allocate(compressed_room(plain.size()));
  const ByteSpan block = packed.span().first(codec::compress({}, plain, packed.mutable_span()));
  Buffer out = Buffer::allocate(plain.size());
  for (auto _ : state) benchmark::DoNotOptimize(decompress_lz4(block, out.mutable_span()).has_value());
  count(state, plain.size());
}

void aead(benchmark::State& state) {
  const Buffer plain = content(state.range(0));
  Buffer cipher = Buffer::allocate(plain.size());
  const SecretKey key;
  const AeadNonce nonce{};
  for (auto _ : state) benchmark::DoNotOptimize(aead_seal({key, nonce, {}}, plain, cipher.mutable_span()));
  count(state, plain.size());
}
// One context and one key for all messages: what OpenSSL gives where set-up costs nothing.
void openssl_gcm_alone(benchmark::State& state) {
  const Buffer plain = content(state.range(0));
  Buffer cipher = Buffer::allocate(plain.size());
  const std::array<unsigned char, 32> zeros{};
  EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
  EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), nullptr, zeros.data(), zeros.data());
  std::array<unsigned char, 16> tag;
  for (auto _ : state) {
    int done = 0;
    EVP_EncryptInit_ex(context, nullptr, nullptr, nullptr, zeros.data());
    EVP_EncryptUpdate(context, reinterpret_cast<unsigned char*>(cipher.data()), &done,
                      reinterpret_cast<const unsigned char*>(plain.data()), static_cast<int>(plain.size()));
    EVP_EncryptFinal_ex(context, tag.data(), &done);
    EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, tag.size(), tag.data());
    benchmark::DoNotOptimize(tag);
  }
  EVP_CIPHER_CTX_free(context);
  count(state, plain.size());
}

void checksum(benchmark::State& state) {
  const Buffer plain = content(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(crc32c(plain));
  count(state, plain.size());
}

void seal(benchmark::State& state) {
  const Buffer plain = content(state.range(0), static_cast<int>(state.range(1)));
  const DomainKey key;
  const ChunkHash name = hash_chunk(key, plain);
  for (auto _ : state) benchmark::DoNotOptimize(seal_chunk({}, key, name, plain));
  count(state, plain.size());
}
void open(benchmark::State& state) {
  const Buffer plain = content(state.range(0), static_cast<int>(state.range(1)));
  const DomainKey key;
  const ChunkHash name = hash_chunk(key, plain);
  const Buffer stored = seal_chunk({}, key, name, plain).value();
  for (auto _ : state) benchmark::DoNotOptimize(open_chunk(key, name, stored));
  count(state, plain.size());
}
// A stream on its way into segments: cut, hash, seal.
void write_path(benchmark::State& state) {
  const Buffer stream = content(4 << 20, static_cast<int>(state.range(0)));
  const DomainKey key;
  for (auto _ : state) {
    Chunker cutter;
    for (ByteSpan rest = stream; !rest.empty();) {
      const ByteSpan chunk = rest.first(cutter.next_cut(rest, true));
      benchmark::DoNotOptimize(seal_chunk({}, key, hash_chunk(key, chunk), chunk));
      rest = rest.subspan(chunk.size());
    }
  }
  count(state, stream.size());
}

void sketch(benchmark::State& state) {
  const Buffer plain = content(state.range(0), static_cast<int>(state.range(1)));
  for (auto _ : state) benchmark::DoNotOptimize(sketch_chunk({}, plain));
  count(state, plain.size());
}
// Against a base that differs in ten places.
struct Edited {
  DomainKey key;
  Buffer base, plain;
  ChunkHash base_hash, hash;
  explicit Edited(benchmark::State& state)
      : base(content(state.range(0), static_cast<int>(state.range(1)))), plain(Buffer::copy_of(base.span())) {
    for (std::size_t i = 0; i < 10; ++i) plain.data()[i * plain.size() / 10] ^= std::byte{1};
    base_hash = hash_chunk(key, base);
    hash = hash_chunk(key, plain);
  }
  Buffer seal() const { return seal_delta(key, hash, plain, {base_hash, base.span()}).value(); }
};
void delta_seal(benchmark::State& state) {
  const Edited edited(state);
  for (auto _ : state) benchmark::DoNotOptimize(edited.seal());
  count(state, edited.plain.size());
  state.counters["ratio"] =
      static_cast<double>(edited.plain.size()) / static_cast<double>(edited.seal().size());
}
void delta_open(benchmark::State& state) {
  const Edited edited(state);
  const Buffer stored = edited.seal();
  for (auto _ : state) benchmark::DoNotOptimize(open_chunk(edited.key, edited.hash, stored, edited.base));
  count(state, edited.plain.size());
}

void erasure_encode(benchmark::State& state) {
  const ErasureCode code = ErasureCode::create(state.range(0), state.range(1)).value();
  const Buffer segment = content(2 << 20);
  for (auto _ : state) benchmark::DoNotOptimize(code.encode(segment));
  count(state, segment.size());
}
void isal_alone(benchmark::State& state) {
  const int k = static_cast<int>(state.range(0));
  const int m = static_cast<int>(state.range(1));
  Buffer segment = content(2 << 20);
  const int length = static_cast<int>(segment.size()) / k / 64 * 64;
  std::vector<unsigned char> matrix((k + m) * k);
  std::vector<unsigned char> tables(32 * k * m);
  gf_gen_cauchy1_matrix(matrix.data(), k + m, k);
  ec_init_tables(k, m, &matrix[k * k], tables.data());
  std::vector<unsigned char> parity(static_cast<std::size_t>(length) * m);
  std::vector<unsigned char*> from;
  std::vector<unsigned char*> to;
  for (int i = 0; i < k; ++i) from.push_back(reinterpret_cast<unsigned char*>(segment.data()) + i * length);
  for (int i = 0; i < m; ++i) to.push_back(parity.data() + i * length);
  for (auto _ : state) {
    ec_encode_data(length, k, m, tables.data(), from.data(), to.data());
    benchmark::ClobberMemory();
  }
  count(state, static_cast<std::size_t>(length) * k);
}
void erasure_rebuild_one(benchmark::State& state) {
  const ErasureCode code = ErasureCode::create(state.range(0), state.range(1)).value();
  const Buffer segment = content(2 << 20);
  const std::vector<Buffer> shards = code.encode(segment);
  std::vector<Shard> available;
  for (unsigned i = 1; i < code.shards(); ++i) available.push_back({i, shards[i]});
  const std::vector<unsigned> wanted{0};
  for (auto _ : state) benchmark::DoNotOptimize(code.reconstruct(available, wanted));
  count(state, segment.size());
}

void sizes(benchmark::internal::Benchmark* b) { b->Arg(4 << 10)->Arg(128 << 10)->Arg(1 << 20); }
void sizes_and_kinds(benchmark::internal::Benchmark* b) {
  b->ArgsProduct({{4 << 10, 128 << 10, 1 << 20}, {kNoise, kText}})->ArgNames({"size", "text"});
}
void codes(benchmark::internal::Benchmark* b) { b->Args({2, 1})->Args({4, 2})->Args({8, 2})->Args({16, 4}); }

BENCHMARK(memcpy_alone)->Apply(sizes);
BENCHMARK(chunker);
BENCHMARK(chunker_scan);
BENCHMARK(hash)->Apply(sizes);
BENCHMARK(blake3_alone)->Apply(sizes);
BENCHMARK(compress)->Apply(sizes_and_kinds);
BENCHMARK(lz4_alone)->Apply(sizes_and_kinds);
BENCHMARK(decompress)->Apply(sizes);
BENCHMARK(aead)->Apply(sizes);
BENCHMARK(openssl_gcm_alone)->Apply(sizes);
BENCHMARK(checksum)->Apply(sizes);
BENCHMARK(seal)->Apply(sizes_and_kinds);
BENCHMARK(open)->Apply(sizes_and_kinds);
BENCHMARK(write_path)->Arg(kNoise)->Arg(kText);
BENCHMARK(sketch)->Apply(sizes_and_kinds);
BENCHMARK(delta_seal)->Apply(sizes_and_kinds);
BENCHMARK(delta_open)->Apply(sizes_and_kinds);
BENCHMARK(erasure_encode)->Apply(codes);
BENCHMARK(isal_alone)->Apply(codes);
BENCHMARK(erasure_rebuild_one)->Apply(codes);

}  // namespace
}  // namespace claudefs::codec

BENCHMARK_MAIN();
