#include <map>

#include "base/mutant.h"
#include "data/ops/ops.h"

namespace claudefs::data {

CFS_DEFINE_MUTANT(data_move_leaves_count, "data: a moved chunk still counts as live where it was");

Result<MoveChunksReply> apply_move_chunks(meta::ApplyContext& context, const MoveChunks& op) {
  if (context.hlc() > op.valid_until)
    return fail(Errc::conflict, "the promise that the new segment stays has run out");
  MoveChunksReply reply;
  std::map<SegmentId, i64> live_bytes;
  for (const MoveChunks::Move& move : op.moves) {
    std::optional<ChunkRecord> record = context.load<ChunkRecord>(chunk_key(move.hash));
    if (!record || record->location != move.from || move.to.length != move.from.length) continue;
    context.remove(place_key(move.from.segment, move.from.offset));
    context.put(place_key(move.to.segment, move.to.offset), std::string(as_text(move.hash.bytes)));
    record->location = move.to;
    record->changed = context.hlc();
    context.store(chunk_key(move.hash), *record);
    if (!CFS_MUTANT(data_move_leaves_count)) live_bytes[move.from.segment] -= move.from.length;
    live_bytes[move.to.segment] += move.to.length;
    reply.moved_bytes += move.to.length;
  }
  for (const auto& [segment, bytes] : live_bytes)
    context.emit(shard_of(segment), SegmentDelta{segment, bytes});
  return reply;
}

}  // namespace claudefs::data
