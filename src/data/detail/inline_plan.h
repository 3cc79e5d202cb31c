// Which parts of a file the consolidation writes anew. Pure.
#pragma once

#include <vector>

#include "meta/types.h"

namespace claudefs::data {

inline constexpr u64 kSmallPiece = 4_KiB;   // a chunk piece below this is worth joining to others
inline constexpr u64 kJoinedMax = 256_KiB;  // of a new chunk

// extents[first] .. extents[end - 1] follow each other without a hole and become new chunks.
struct Run {
  std::size_t first = 0;
  std::size_t end = 0;
  u64 length = 0;
  bool operator==(const Run&) const = default;
};
// Ascending, disjoint. Every inline extent is in one. A run has at least kSmallPiece bytes, unless nothing
// adjoins it.
std::vector<Run> plan_runs(const std::vector<meta::Extent>& extents);

}  // namespace claudefs::data
