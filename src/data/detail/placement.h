// Which nodes hold a segment. Pure.
#pragma once

#include <optional>
#include <vector>

#include "data/operations.h"

namespace claudefs::data {

// The widest layout that `living` of `total` nodes allow and that still survives one more failure (of one
// node: one copy). Nothing where there is none.
std::optional<Layout> widest_layout(std::size_t living, std::size_t total);
// `count` of the candidates by rendezvous hashing: a change of candidates moves only what it must.
// Requires count <= candidates.size().
std::vector<NodeId> choose_nodes(SegmentId segment, std::vector<NodeId> candidates, std::size_t count);
inline std::size_t shards_of(Layout layout) { return layout.data_shards + layout.parity_shards; }

}  // namespace claudefs::data
