// Which chunks are alike, without comparing them: two that share most of their content most likely have an
// equal feature.
//
// Super-features by sampled N-transform: of the gear hashes over all windows of 64 bytes one in 64 is taken,
// by its own value; each of six linear maps keeps its largest image; two of these together are a feature.
// Chunks with a share r of common windows have one in common with probability 1 - (1 - r^2)^3: 0.99 for 0.9,
// 0.58 for 0.5. Those papers take four maps a feature (0.18 for 0.5); but whoever asks here compares what a
// delta takes with what the chunk takes alone, and half a chunk in common is worth a delta. A. Broder,
// "Identifying and filtering near-duplicate documents" (CPM 2000); P. Shilane et al., "WAN-optimized
// replication of backup datasets using stream-informed delta compression" (FAST 2012); the sampling: X. Zou
// et al., "Odess: speeding up resemblance detection for redundancy elimination by fast content-defined
// sampling" (ICDE 2021).
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/buffer.h"
#include "codec/secret_key.h"

namespace claudefs::codec {

inline constexpr std::size_t kSketchFeatures = 3;
using Sketch = std::array<std::uint64_t, kSketchFeatures>;

// Nothing for content in which no window is sampled: most of that has a few dozen bytes, or repeats one.
// Keyed like the chunk hash: without the domain key a feature tells nothing about content. Pure and
// thread-safe; reads `plain` once. Another way to compute it finds nothing that was entered before: a test
// pins it.
std::optional<Sketch> sketch_chunk(const DomainKey& domain, ByteSpan plain);

}  // namespace claudefs::codec
