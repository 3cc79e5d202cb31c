#include "data/ops/ops.h"

namespace claudefs::data {

Result<MatchSketchesReply> apply_match_sketches(meta::ApplyContext& context, const MatchSketches& op) {
  MatchSketchesReply reply;
  reply.chunks.reserve(op.entries.size());
  for (const MatchSketches::Entry& entry : op.entries) {
    const std::string key = sketch_key(entry.feature, context.shard_count());
    const std::optional<SketchRecord> there = context.load<SketchRecord>(key);
    const bool taken = there && there->feature == entry.feature && there->hash != entry.instead_of;
    if (!taken) context.store(key, SketchRecord{entry.feature, entry.hash});
    reply.chunks.push_back(taken ? there->hash : entry.hash);
  }
  return reply;
}

}  // namespace claudefs::data
