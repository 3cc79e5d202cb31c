// The operations of the chunk index and the segment table, one file a verb; registered by register.cpp.
#pragma once

#include "data/detail/records.h"
#include "data/operations.h"
#include "meta/shard_machine.h"

namespace claudefs::data {

Result<meta::Nothing> apply_chunk_deltas(meta::ApplyContext& context, const meta::ChunkDeltas& op);
Result<ChunkPlaces> read_find_chunks(const meta::ReadContext& context, const FindChunks& op);
Result<ChunkPlaces> apply_pin_chunks(meta::ApplyContext& context, const PinChunks& op);
Result<ReclaimChunksReply> apply_reclaim_chunks(meta::ApplyContext& context, const ReclaimChunks& op);
Result<SegmentsReply> apply_grant_segments(meta::ApplyContext& context, const GrantSegments& op);
Result<meta::Nothing> apply_seal_segments(meta::ApplyContext& context, const SealSegments& op);
Result<SegmentsReply> read_find_segments(const meta::ReadContext& context, const FindSegments& op);
Result<ChunksInReply> read_chunks_in(const meta::ReadContext& context, const ChunksIn& op);
Result<MoveChunksReply> apply_move_chunks(meta::ApplyContext& context, const MoveChunks& op);
Result<meta::Nothing> apply_segment_delta(meta::ApplyContext& context, const SegmentDelta& op);
Result<SegmentsReply> apply_remove_segments(meta::ApplyContext& context, const RemoveSegments& op);

Result<MatchSketchesReply> apply_match_sketches(meta::ApplyContext& context, const MatchSketches& op);
Result<PinBasesReply> apply_pin_bases(meta::ApplyContext& context, const PinBases& op);
Result<ReduceChunksReply> apply_reduce_chunks(meta::ApplyContext& context, const ReduceChunks& op);
Result<meta::Nothing> apply_segments_reduced(meta::ApplyContext& context, const SegmentsReduced& op);

}  // namespace claudefs::data
