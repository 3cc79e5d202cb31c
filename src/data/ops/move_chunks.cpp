#include "base/mutant.h"
#include "data/ops/ops.h"

namespace claudefs::data {

CFS_DEFINE_MUTANT(data_move_leaves_count, "data: a moved chunk still counts as live where it was");

Result<MoveChunksReply> apply_move_chunks(meta::ApplyContext& context, const MoveChunks& op) {
  if (context.hlc() > op.valid_until)
    return fail(Errc::conflict, "the promise that the new segment stays has run out");
  MoveChunksReply reply;
  IndexEffects effects;
  for (const MoveChunks::Move& move : op.moves) {
    std::optional<ChunkRecord> record = context.load<ChunkRecord>(chunk_key(move.hash));
    if (!record || record->location != move.from || move.to.length != move.from.length) continue;
    move_chunk(context, move.hash, *record, move.to, effects);
    context.store(chunk_key(move.hash), *record);
    if (CFS_MUTANT(data_move_leaves_count)) effects.live_bytes[move.from.segment] += move.from.length;
    reply.moved_bytes += move.to.length;
  }
  effects.emit(context);
  return reply;
}

}  // namespace claudefs::data
