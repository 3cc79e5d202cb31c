#include "client/detail/flush_plan.h"

#include "codec/chunker.h"
#include "meta/types.h"

namespace claudefs::client {
namespace {

void cut_stream(const FlushRun& run, FlushPlan& plan) {
  codec::Chunker chunker;
  std::size_t at = 0;
  while (at < run.bytes.size()) {
    const std::size_t cut = chunker.next_cut(run.bytes.span().subspan(at), !run.goes_on);
    if (cut == 0) break;
    // A chunk has a least length; what is shorter can only be the end of the run.
    plan.extents.push_back({run.offset + at, run.bytes.slice(at, cut), cut < kChunkLeast});
    at += cut;
  }
  if (at < run.bytes.size()) plan.kept.push_back({run.offset + at, run.bytes.slice(at), false});
}

}  // namespace

FlushPlan plan_flush(const std::vector<FlushRun>& runs) {
  FlushPlan plan;
  u64 inline_left = kInlineTotalMax;
  for (const FlushRun& run : runs) {
    const u64 length = run.bytes.size();
    const bool small = length < kChunkLeast || (length <= meta::kInlineMax && length <= inline_left);
    if (!small) {
      cut_stream(run, plan);
      continue;
    }
    inline_left -= std::min(inline_left, length);
    plan.extents.push_back({run.offset, run.bytes, true});
  }
  return plan;
}

}  // namespace claudefs::client
