#include "data/detail/placement.h"
#include "base/mutant.h"

#include <algorithm>

#include "base/check.h"

namespace claudefs::data {

CFS_DEFINE_MUTANT(data_shards_on_one_node, "data: all shards of a segment go to one node");
namespace {

// A 64-bit finaliser (splitmix64): every bit of the input moves every bit of the weight.
u64 weight(SegmentId segment, NodeId node) {
  u64 x = segment.value * 0x9e3779b97f4a7c15u + node.value;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

}  // namespace

Layout policy_layout(std::size_t nodes) {
  if (nodes <= 1) return {1, 0};
  if (nodes == 2) return {1, 1};
  return nodes < 6 ? Layout{2, 1} : Layout{4, 2};
}

std::optional<Layout> widest_layout(std::size_t living, std::size_t total) {
  if (living == 0 || (living == 1 && total > 1)) return std::nullopt;
  return policy_layout(living);
}

std::vector<NodeId> choose_nodes(SegmentId segment, std::vector<NodeId> candidates, std::size_t count) {
  CFS_CHECK(count <= candidates.size());
  std::ranges::sort(candidates, [segment](NodeId a, NodeId b) {
    return std::pair(weight(segment, a), a) > std::pair(weight(segment, b), b);
  });
  candidates.resize(count);
  if (CFS_MUTANT(data_shards_on_one_node)) std::ranges::fill(candidates, candidates.front());
  return candidates;
}

}  // namespace claudefs::data
