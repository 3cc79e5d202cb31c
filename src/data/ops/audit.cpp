// Pages of the index and the segment table, and mending: data/audit.h.
#include "data/audit.h"

#include <algorithm>

#include "base/log.h"
#include "data/ops/ops.h"

namespace claudefs::data {
namespace {

constexpr u32 kRowsMost = 65536;

Result<AuditChunksReply> read_chunks(const meta::ReadContext& context, const AuditChunks& op) {
  AuditChunksReply reply;
  const u32 rows_max = std::clamp<u32>(op.rows_max, 1, kRowsMost);
  const std::string first = op.from_start ? std::string(kChunkPrefix) : chunk_key(op.after) + '\0';
  reply.end = true;
  u32 left = op.deltas_only ? kRowsMost : rows_max;
  std::vector<Hlc> zero_since;
  context.scan(kChunkPrefix, first, [&](std::string_view key, std::string_view value) {
    reply.end = left-- != 0 && reply.rows.size() < rows_max;
    if (!reply.end) return false;
    std::ranges::copy(as_bytes(key.substr(kChunkPrefix.size())), reply.last.bytes.begin());
    const Result<ChunkRecord> record = wire::decode<ChunkRecord>(as_bytes(value));
    CFS_CHECK(record.has_value());
    if (op.deltas_only && !record->base) return true;
    AuditChunksReply::Row row;
    row.hash = reply.last;
    row.location = record->location;
    row.references = record->references;
    row.changed = record->changed;
    row.base = record->base;
    row.is_base = record->is_base;
    zero_since.push_back(record->zero_since);
    reply.rows.push_back(row);
    return true;
  });
  for (std::size_t i = 0; i < reply.rows.size(); ++i) {
    AuditChunksReply::Row& row = reply.rows[i];
    const bool queued = zero_since[i] != Hlc{} && context.get(zero_key(zero_since[i], row.hash)).has_value();
    const auto placed = context.get(place_key(row.location.segment, row.location.offset));
    row.listed_rightly = queued == (row.references == 0) && (zero_since[i] != Hlc{}) == queued &&
                         placed == std::string(as_text(row.hash.bytes));
  }
  return reply;
}

Result<AuditSegmentsReply> read_segments(const meta::ReadContext& context, const AuditSegments& op) {
  AuditSegmentsReply reply;
  const u32 rows_max = std::clamp<u32>(op.rows_max, 1, kRowsMost);
  reply.end = true;
  context.scan(kSegmentPrefix, segment_key(SegmentId{op.after.value + 1}),
               [&](std::string_view, std::string_view value) {
                 reply.end = reply.records.size() < rows_max;
                 if (!reply.end) return false;
                 Result<SegmentRecord> record = wire::decode<SegmentRecord>(as_bytes(value));
                 CFS_CHECK(record.has_value());
                 reply.records.push_back(std::move(*record));
                 return true;
               });
  return reply;
}

Result<meta::Nothing> apply_repair_chunk(meta::ApplyContext& context, const RepairChunk& op) {
  std::optional<ChunkRecord> record = context.load<ChunkRecord>(chunk_key(op.hash));
  if (!record || record->changed != op.if_changed)
    return fail(Errc::conflict, "the chunk's record changed meanwhile");
  log::warn(
      "data", "a chunk's count of references is mended",
      {log::kv("chunk", op.hash.to_hex()), log::kv("was", record->references), log::kv("is", op.references)});
  const i64 length = record->location.length;
  const i64 zero_before = record->zero_since != Hlc{} ? length : 0;
  if (record->zero_since != Hlc{}) context.remove(zero_key(record->zero_since, op.hash));
  record->references = op.references;
  record->zero_since = op.references == 0 ? context.hlc() : Hlc{};
  record->changed = context.hlc();
  if (op.references == 0) context.put(zero_key(record->zero_since, op.hash), {});
  context.put(place_key(record->location.segment, record->location.offset),
              std::string(as_text(op.hash.bytes)));
  context.store(chunk_key(op.hash), *record);
  add_to_totals(context, {0, (op.references == 0 ? length : 0) - zero_before, 0});
  return meta::Nothing{};
}

Result<meta::Nothing> apply_repair_segment(meta::ApplyContext& context, const RepairSegment& op) {
  std::optional<SegmentRecord> record = context.load<SegmentRecord>(segment_key(op.segment));
  if (!record || record->changed != op.if_changed)
    return fail(Errc::conflict, "the segment's record changed meanwhile");
  log::warn(
      "data", "a segment's live bytes are mended",
      {log::kv("segment", op.segment), log::kv("was", record->live_bytes), log::kv("is", op.live_bytes)});
  record->live_bytes = op.live_bytes;
  record->ever_live = record->ever_live || op.live_bytes > 0;
  record->changed = context.hlc();
  put_segment(context, *record);
  return meta::Nothing{};
}

}  // namespace

void register_audit(meta::OperationTable& table) {
  table.query<AuditChunks>(read_chunks);
  table.query<AuditSegments>(read_segments);
  table.command<RepairChunk>(apply_repair_chunk);
  table.command<RepairSegment>(apply_repair_segment);
}

}  // namespace claudefs::data
