#include <algorithm>

#include "data/detail/compactor.h"
#include "data/detail/hlc.h"

namespace claudefs::data {
namespace {

// Less than this is not worth reading and writing the rest.
constexpr double kDeadLeast = 1.0 / 16;
// Where chunks die now more will soon: older first, up to here.
constexpr u64 kAgeMost = 60'000;
constexpr u64 kAgeLeast = 2'000;

u64 dead_of(const SegmentRecord& record) {
  const u64 live = static_cast<u64>(std::max<i64>(0, record.live_bytes));
  return record.length - std::min<u64>(live, record.length);
}
double dead_share(const SegmentRecord& record) {
  return static_cast<double>(dead_of(record)) / static_cast<double>(record.length);
}
double score(const SegmentRecord& record, Hlc now) {
  const u64 since = now > record.changed ? (now.value - record.changed.value) >> meta::kHlcCounterBits : 0;
  const u64 age = std::clamp(since, kAgeLeast, kAgeMost);
  return static_cast<double>(dead_of(record)) * static_cast<double>(age) /
         static_cast<double>(u64{record.length} + static_cast<u64>(record.live_bytes));
}

}  // namespace

std::vector<SegmentRecord> choose_for_compaction(std::vector<SegmentRecord> records, Hlc now,
                                                 CompactionPolicy policy) {
  u64 live = 0, dead = 0;
  for (const SegmentRecord& record : records) {
    if (record.state != SegmentState::sealed || record.live_bytes <= 0) continue;
    live += static_cast<u64>(record.live_bytes);
    dead += dead_of(record);
  }
  std::erase_if(records, [&](const SegmentRecord& record) {
    return record.live_bytes <= 0 || !settled(record, now) || dead_share(record) < kDeadLeast;
  });
  std::ranges::sort(records, std::ranges::greater{}, [&](const SegmentRecord& record) {
    return std::pair(score(record, now), record.id.value);
  });
  const auto allowed = static_cast<u64>(static_cast<double>(live) * policy.dead_share_allowed);
  std::vector<SegmentRecord> out;
  for (SegmentRecord& record : records) {
    if (dead <= allowed && dead_share(record) < policy.always_from) continue;
    dead -= std::min(dead, dead_of(record));
    out.push_back(std::move(record));
  }
  return out;
}

}  // namespace claudefs::data
