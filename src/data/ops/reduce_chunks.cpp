#include "base/mutant.h"
#include "base/probe.h"
#include "data/ops/ops.h"

namespace claudefs::data {

CFS_DEFINE_MUTANT(data_base_not_counted, "data: a delta takes no reference to its base");
CFS_DEFINE_MUTANT(data_base_becomes_delta, "data: a chunk that others build on becomes a delta itself");

namespace {

bool may_become(const ChunkRecord& record, const ReduceChunks::Form& form) {
  if (record.location != form.from || record.references == 0 || record.base) return false;
  if (form.to.length >= form.from.length) return false;
  if (!form.base) return true;
  return *form.base != form.hash && (!record.is_base || CFS_MUTANT(data_base_becomes_delta));
}

}  // namespace

Result<ReduceChunksReply> apply_reduce_chunks(meta::ApplyContext& context, const ReduceChunks& op) {
  if (context.hlc() > op.valid_until)
    return fail(Errc::conflict, "the promise that the new segment or a base stays has run out");
  ReduceChunksReply reply;
  IndexEffects effects;
  for (const ReduceChunks::Form& form : op.forms) {
    std::optional<ChunkRecord> record = context.load<ChunkRecord>(chunk_key(form.hash));
    if (!record || !may_become(*record, form)) {
      CFS_PROBE(data_reduced_in_vain, "a chunk changed or went while its shorter form was written");
      continue;
    }
    const u32 saved = form.from.length - form.to.length;
    move_chunk(context, form.hash, *record, form.to, effects);
    record->base = form.base;
    record->saved += saved;
    context.store(chunk_key(form.hash), *record);
    if (form.base && !CFS_MUTANT(data_base_not_counted)) ++effects.bases[*form.base];
    effects.totals.saved_bytes += saved;
    reply.deltas += form.base ? 1 : 0;
    reply.saved_bytes += saved;
  }
  effects.emit(context);
  return reply;
}

}  // namespace claudefs::data
