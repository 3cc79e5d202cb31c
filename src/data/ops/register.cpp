#include "data/audit.h"
#include "data/node_service.h"
#include "data/ops/ops.h"

namespace claudefs::data {

void register_data(meta::OperationTable& table) {
  table.command<meta::ChunkDeltas>(apply_chunk_deltas);
  table.query<FindChunks>(read_find_chunks);
  table.command<PinChunks>(apply_pin_chunks);
  table.command<ReclaimChunks>(apply_reclaim_chunks);
  table.command<GrantSegments>(apply_grant_segments);
  table.command<SealSegments>(apply_seal_segments);
  table.query<FindSegments>(read_find_segments);
  register_audit(table);
  table.command<SegmentDelta>(apply_segment_delta);
  table.command<RemoveSegments>(apply_remove_segments);
  table.query<ChunksIn>(read_chunks_in);
  table.command<MoveChunks>(apply_move_chunks);
  table.command<MatchSketches>(apply_match_sketches);
  table.command<PinBases>(apply_pin_bases);
  table.command<ReduceChunks>(apply_reduce_chunks);
  table.command<SegmentsReduced>(apply_segments_reduced);
}

}  // namespace claudefs::data
