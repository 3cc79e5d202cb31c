#include "data/detail/reduction_batch.h"

#include <algorithm>

namespace claudefs::data {
namespace {

using Chunk = ReductionBatch::Chunk;

std::optional<codec::ChunkHash> most_alike(const Chunk& chunk, const std::set<codec::ChunkHash>& useless) {
  std::optional<codec::ChunkHash> best;
  std::ptrdiff_t most = 0;
  for (const auto& similar : chunk.similar) {
    if (!similar || *similar == chunk.hash || useless.contains(*similar)) continue;
    const std::ptrdiff_t count = std::ranges::count(chunk.similar, similar);
    if (count <= most) continue;
    most = count;
    best = similar;
  }
  return best;
}

}  // namespace

std::map<codec::ChunkHash, std::vector<std::size_t>> ReductionBatch::plan() {
  std::set<codec::ChunkHash> ours;
  for (const Chunk& chunk : chunks) ours.insert(chunk.hash);
  std::map<codec::ChunkHash, std::vector<std::size_t>> wanted;
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    const Chunk& chunk = chunks[i];
    if (chunk.base || chunk.is_base || kept_whole.contains(chunk.hash)) continue;
    std::optional<codec::ChunkHash> base = most_alike(chunk, useless);
    if (!base) continue;
    if (const auto deeper = builds_on.find(*base); deeper != builds_on.end()) base = deeper->second;
    if (*base == chunk.hash || useless.contains(*base)) continue;
    if (ours.contains(*base)) kept_whole.insert(*base);
    builds_on[chunk.hash] = *base;
    wanted[*base].push_back(i);
  }
  return wanted;
}

void ReductionBatch::learn(const codec::ChunkHash& base, const PinBasesReply::Base& answer,
                           const std::vector<std::size_t>& users) {
  if (!answer.pinned && !answer.base) useless.insert(base);
  for (const std::size_t i : users) {
    Chunk& chunk = chunks[i];
    if (!answer.pinned) {
      builds_on.erase(chunk.hash);
      continue;
    }
    chunk.base = base;
    chunk.base_at = answer.location;
    chunk.base_length = answer.chunk_length;
  }
  if (answer.base) builds_on[base] = *answer.base;
}

}  // namespace claudefs::data
