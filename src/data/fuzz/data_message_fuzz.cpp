// Goal: nothing that a client or a node sends to the data plane, no record of the index, and no heartbeat or
// map of the cluster does more than give an error. Method: wire/fuzz/round_trip.h.
#include "cluster/membership.h"
#include "cluster/shard_call.h"
#include "data/detail/records.h"
#include "data/messages.h"
#include "data/operations.h"
#include "wire/fuzz/round_trip.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace claudefs;
  using namespace claudefs::data;
  wire::require_round_trips<JournalAppend, JournalRead, SealFromJournal, SealFromJournalReply, JournalDrop,
                            ShardWrite, ShardRead, ShardRemove, ShardHolds, ShardHoldsReply, SegmentRecord,
                            ChunkPlaces, ChunkRecord, SketchRecord, MatchSketches, PinBasesReply,
                            ReduceChunks, cluster::ShardRequest, cluster::ShardReply, cluster::Heartbeat,
                            cluster::ClusterMap>(std::as_bytes(std::span(data, size)));
  return 0;
}
