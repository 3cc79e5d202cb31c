#include "data/detail/reduction_batch.h"

#include <algorithm>

namespace claudefs::data {

constexpr u64 kSavedLeast = 16_KiB;     // by a batch: a segment more takes the nodes some blocks each
constexpr std::size_t kNeighbours = 8;  // more find a base no better, and lie further apart in the end
// Longer ones have in themselves what a neighbour could give, and as bases cost readers more than they give.
constexpr std::size_t kNeighbourMost = 64_KiB;

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

void ReductionBatch::plan_neighbours() {
  for (std::size_t first = 0; first < chunks.size(); first += kNeighbours) {
    const std::size_t end = std::min(first + kNeighbours, chunks.size());
    std::optional<std::size_t> longest;
    for (std::size_t i = first; i < end; ++i) {
      if (chunks[i].base || chunks[i].plain.size() > kNeighbourMost) continue;
      if (!longest || chunks[i].plain.size() > chunks[*longest].plain.size()) longest = i;
    }
    for (std::size_t i = first; i < end; ++i) {
      const Chunk& chunk = chunks[i];
      if (chunk.is_base || chunk.plain.size() > kNeighbourMost || !longest) continue;
      if (i != *longest && !kept_whole.contains(chunk.hash)) chunks[i].neighbour = longest;
    }
  }
}

u64 ReductionBatch::bytes_to_form(std::size_t i) const {
  const Chunk& chunk = chunks[i];
  return chunk.plain.size() + chunk.base_plain.size() +
         (chunk.neighbour ? chunks[*chunk.neighbour].plain.size() : 0);
}

std::map<codec::ChunkHash, std::vector<std::size_t>> ReductionBatch::neighbours_wanted() const {
  std::map<codec::ChunkHash, std::vector<std::size_t>> wanted;
  for (std::size_t i = 0; i < chunks.size(); ++i)
    if (!chunks[i].beside_neighbour.empty()) wanted[chunks[*chunks[i].neighbour].hash].push_back(i);
  return wanted;
}

void ReductionBatch::drop_unchanged() {
  u64 saved = 0;
  for (const Chunk& chunk : chunks)
    if (!chunk.stored.empty()) saved += chunk.from.length - chunk.stored.size();
  std::erase_if(chunks, [saved](const Chunk& chunk) { return chunk.stored.empty() || saved < kSavedLeast; });
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
