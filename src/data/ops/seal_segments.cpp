#include "codec/erasure.h"
#include "data/ops/ops.h"

namespace claudefs::data {
namespace {

Result<void> check_form(const SealSegments::Sealed& sealed) {
  const unsigned k = sealed.layout.data_shards, m = sealed.layout.parity_shards;
  if (k == 0 || k > codec::kMaxDataShards || m > codec::kMaxParityShards || sealed.nodes.size() != k + m ||
      sealed.length == 0 || sealed.generation == 0)
    return fail(Errc::invalid_argument,
                fmt::format("segment {}: {}+{} on {} nodes with {} bytes is no layout", sealed.id, k, m,
                            sealed.nodes.size(), sealed.length));
  return {};
}
bool is_repeat(const SegmentRecord& record, const SealSegments::Sealed& sealed) {
  return record.state == SegmentState::sealed && record.generation == sealed.generation &&
         record.layout == sealed.layout && record.nodes == sealed.nodes && record.length == sealed.length;
}

Result<void> seal(meta::ApplyContext& context, const SealSegments::Sealed& sealed) {
  TRY(check_form(sealed));
  std::optional<SegmentRecord> record = context.load<SegmentRecord>(segment_key(sealed.id));
  if (!record) return fail(Errc::stale, fmt::format("segment {} is not in the table", sealed.id));
  if (is_repeat(*record, sealed)) return {};
  if (sealed.generation <= record->generation)
    return fail(Errc::conflict,
                fmt::format("segment {} has generation {} already", sealed.id, record->generation));
  // Laying out anew moves the bytes, never changes how many there are.
  if (record->state == SegmentState::sealed && record->length != sealed.length)
    return fail(Errc::invalid_argument,
                fmt::format("segment {} has {} bytes, not {}", sealed.id, record->length, sealed.length));
  record->state = SegmentState::sealed;
  record->layout = sealed.layout;
  record->generation = sealed.generation;
  record->nodes = sealed.nodes;
  record->length = sealed.length;
  record->reduced = record->reduced || sealed.reduced;
  record->journals.clear();
  record->changed = context.hlc();
  put_segment(context, *record);
  return {};
}

}  // namespace

Result<meta::Nothing> apply_seal_segments(meta::ApplyContext& context, const SealSegments& op) {
  for (const SealSegments::Sealed& sealed : op.segments) TRY(seal(context, sealed));
  return meta::Nothing{};
}

}  // namespace claudefs::data
