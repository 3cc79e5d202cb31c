#include "codec/erasure.h"

#include <isa-l/erasure_code.h>

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/check.h"
#include "base/mutant.h"
#include "codec/stripe_layout.h"

namespace claudefs::codec {

CFS_DEFINE_MUTANT(codec_parity_missing, "codec: parity is all zeros");

namespace {

constexpr std::size_t kTableSize = 32;  // ISA-L's, a coefficient

std::vector<std::uint8_t> make_matrix(unsigned k, unsigned m) {
  std::vector<std::uint8_t> out((k + m) * k, 1);  // with one data shard, every shard is its copy
  if (k > 1) gf_gen_cauchy1_matrix(out.data(), static_cast<int>(k + m), static_cast<int>(k));
  return out;
}

std::vector<std::uint8_t> expand(std::vector<std::uint8_t> rows, unsigned k) {
  std::vector<std::uint8_t> out(rows.size() * kTableSize);
  if (!rows.empty())
    ec_init_tables(static_cast<int>(k), static_cast<int>(rows.size() / k), rows.data(), out.data());
  return out;
}

// out[r] = sum over i of coefficient (r, i) times in[i]. ISA-L takes neither const nor empty input.
void multiply(const std::vector<std::uint8_t>& tables, std::span<const ByteSpan> in,
              std::span<const MutableByteSpan> out) {
  if (out.empty() || in[0].empty()) return;
  std::array<unsigned char*, kMaxDataShards> from{};
  std::array<unsigned char*, kMaxDataShards + kMaxParityShards> to{};
  const std::size_t length = in[0].size();
  for (std::size_t i = 0; i < in.size(); ++i) {
    CFS_CHECK(in[i].size() == length);
    from[i] = reinterpret_cast<unsigned char*>(const_cast<std::byte*>(in[i].data()));
  }
  for (std::size_t i = 0; i < out.size(); ++i) {
    CFS_CHECK(out[i].size() == length);
    to[i] = reinterpret_cast<unsigned char*>(out[i].data());
  }
  ec_encode_data(static_cast<int>(length), static_cast<int>(in.size()), static_cast<int>(out.size()),
                 const_cast<unsigned char*>(tables.data()), from.data(), to.data());
}

// The rows of `matrix` for `wanted`, re-expressed in the `sources` instead of the data shards.
std::vector<std::uint8_t> decoding_rows(const std::vector<std::uint8_t>& matrix, unsigned k,
                                        std::span<const unsigned> sources, std::span<const unsigned> wanted) {
  std::vector<std::uint8_t> square(k * k);
  std::vector<std::uint8_t> inverse(k * k);
  for (unsigned row = 0; row < k; ++row) std::copy_n(&matrix[sources[row] * k], k, &square[row * k]);
  CFS_CHECK(gf_invert_matrix(square.data(), inverse.data(), static_cast<int>(k)) == 0);

  std::vector<std::uint8_t> out(wanted.size() * k);
  for (std::size_t row = 0; row < wanted.size(); ++row)
    for (unsigned column = 0; column < k; ++column)
      for (unsigned i = 0; i < k; ++i)
        out[row * k + column] ^= gf_mul(matrix[wanted[row] * k + i], inverse[i * k + column]);
  return out;
}

}  // namespace

Result<ErasureCode> ErasureCode::create(unsigned data_shards, unsigned parity_shards) {
  if (data_shards == 0 || data_shards > kMaxDataShards || parity_shards > kMaxParityShards)
    return fail(Errc::invalid_argument, fmt::format("erasure code {}+{} is not in 1+0 to {}+{}", data_shards,
                                                    parity_shards, kMaxDataShards, kMaxParityShards));
  return ErasureCode(data_shards, parity_shards);
}

ErasureCode::ErasureCode(unsigned data_shards, unsigned parity_shards)
    : data_(data_shards), parity_(parity_shards), matrix_(make_matrix(data_shards, parity_shards)) {
  tables_ = expand({matrix_.begin() + data_ * data_, matrix_.end()}, data_);
}

void ErasureCode::encode_parity(std::span<const ByteSpan> data,
                                std::span<const MutableByteSpan> parity) const {
  CFS_CHECK(data.size() == data_ && parity.size() == parity_);
  multiply(tables_, data, parity);
  if (CFS_MUTANT(codec_parity_missing))
    for (const MutableByteSpan& shard : parity) std::ranges::fill(shard, std::byte{0});
}

std::vector<Buffer> ErasureCode::encode(const Buffer& segment) const {
  const std::size_t length = StripeLayout::shard_length(data_, segment.size());
  std::vector<Buffer> out;
  std::vector<ByteSpan> data;
  std::vector<MutableByteSpan> parity;
  out.reserve(shards());
  for (unsigned i = 0; i < data_; ++i) {
    const std::size_t begin = std::min(i * length, segment.size());
    const std::size_t held = std::min(length, segment.size() - begin);
    if (held == length) {
      out.push_back(segment.slice(begin, length));
    } else {
      Buffer padded = Buffer::zeros(length);
      std::ranges::copy(segment.span().subspan(begin, held), padded.data());
      out.push_back(std::move(padded));
    }
    data.push_back(out.back().span());
  }
  for (unsigned i = 0; i < parity_; ++i) {
    out.push_back(Buffer::allocate(length, 64));
    parity.push_back(out.back().mutable_span());
  }
  encode_parity(data, parity);
  return out;
}

// By shard index, null where it is missing.
Result<std::vector<const Shard*>> ErasureCode::by_index(std::span<const Shard> available) const {
  std::vector<const Shard*> out(shards());
  for (const Shard& shard : available) {
    if (shard.index >= shards() || out[shard.index] != nullptr)
      return fail(Errc::invalid_argument,
                  fmt::format("shard {} is given twice or not in {}+{}", shard.index, data_, parity_));
    if (shard.bytes.size() != available.front().bytes.size())
      return fail(Errc::invalid_argument, "shards of one segment have unequal lengths");
    out[shard.index] = &shard;
  }
  return out;
}

Result<std::vector<Buffer>> ErasureCode::reconstruct(std::span<const Shard> available,
                                                     std::span<const unsigned> wanted) const {
  TRY_ASSIGN(const std::vector<const Shard*> present, by_index(available));
  std::vector<Buffer> out(wanted.size());
  std::vector<unsigned> missing;
  std::vector<MutableByteSpan> to;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] >= shards())
      return fail(Errc::invalid_argument, fmt::format("shard {} is not in {}+{}", wanted[i], data_, parity_));
    if (present[wanted[i]] != nullptr) {
      out[i] = present[wanted[i]]->bytes;
      continue;
    }
    out[i] = Buffer::allocate(available.empty() ? 0 : available.front().bytes.size(), 64);
    missing.push_back(wanted[i]);
    to.push_back(out[i].mutable_span());
  }
  if (missing.empty()) return out;

  std::vector<unsigned> sources;
  std::vector<ByteSpan> from;
  for (const Shard* shard : present) {
    if (shard == nullptr || sources.size() == data_) continue;
    sources.push_back(shard->index);
    from.push_back(shard->bytes.span());
  }
  if (sources.size() < data_)
    return fail(Errc::unavailable,
                fmt::format("{} shards of a {}+{} segment do not suffice", sources.size(), data_, parity_));
  multiply(expand(decoding_rows(matrix_, data_, sources, missing), data_), from, to);
  return out;
}

}  // namespace claudefs::codec
