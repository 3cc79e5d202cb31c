// Goal: nothing that a peer sends, and no record of the Raft log, does more than give an error.
// Method: wire/fuzz/round_trip.h, for every message between hosts and for the log's batches.
#include "raft/detail/host/raft_log.h"
#include "raft/detail/host/wire_messages.h"
#include "wire/fuzz/round_trip.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace claudefs;
  using namespace claudefs::raft;
  wire::require_round_trips<RaftMessages, SnapshotPiece, SnapshotReply, AskStand, StandReply, LogBatch>(
      std::as_bytes(std::span(data, size)));
  return 0;
}
