#include "data/detail/inline_plan.h"

namespace claudefs::data {
namespace {

bool is_inline(const meta::Extent& extent) {
  return std::holds_alternative<meta::InlineData>(extent.content);
}
bool is_small(const meta::Extent& extent) { return is_inline(extent) || extent.length < kSmallPiece; }
bool adjoin(const meta::Extent& left, const meta::Extent& right) {
  return left.offset + left.length == right.offset;
}

}  // namespace

std::vector<Run> plan_runs(const std::vector<meta::Extent>& extents) {
  std::vector<Run> runs;
  for (std::size_t at = 0; at < extents.size();) {
    if (!is_small(extents[at])) {
      ++at;
      continue;
    }
    Run run{at, at, 0};
    bool any_inline = false;
    while (run.end < extents.size() && is_small(extents[run.end]) &&
           (run.end == at || adjoin(extents[run.end - 1], extents[run.end]))) {
      any_inline |= is_inline(extents[run.end]);
      run.length += extents[run.end++].length;
    }
    at = run.end;
    if (!any_inline) continue;
    // Too little for a chunk: a neighbour, which is a large piece, joins. It may be one that the run before
    // took.
    const std::size_t taken = runs.empty() ? 0 : runs.back().end;
    if (run.length < kSmallPiece && run.first > taken && adjoin(extents[run.first - 1], extents[run.first]))
      run.length += extents[--run.first].length;
    else if (run.length < kSmallPiece && run.end < extents.size() &&
             adjoin(extents[run.end - 1], extents[run.end]))
      run.length += extents[run.end++].length;
    at = run.end;
    runs.push_back(run);
  }
  return runs;
}

}  // namespace claudefs::data
