// Goal: the index, the segment table, commands in logs and outboxes, and messages of today can be read by
// what comes later.
#include "wire/tests/golden.h"
#include "data/audit.h"
#include "data/detail/records.h"
#include "data/messages.h"
#include "data/operations.h"
#include "data/scrub.h"

namespace claudefs::data {
namespace {

TEST(Golden, RowsOfIndexAndSegments) {
  wire::GoldenLines lines("data_rows.txt");
#define ROW(T) lines.check<T>(#T)
  ROW(SegmentRecord);
  ROW(ChunkRecord);
  ROW(IndexTotals);
  ROW(SketchRecord);
#undef ROW
}

TEST(Golden, OperationsAndMessagesOfTheDataPlane) {
  wire::GoldenLines lines("data_operations.txt");
#define OPERATION(T) lines.check_with_reply<T>(#T)
  OPERATION(FindChunks);
  OPERATION(PinChunks);
  OPERATION(GrantSegments);
  OPERATION(SealSegments);
  OPERATION(FindSegments);
  OPERATION(StorageSummary);
  OPERATION(ReportBadCopy);
  OPERATION(SegmentDelta);
  OPERATION(ChunksIn);
  OPERATION(MoveChunks);
  OPERATION(MatchSketches);
  OPERATION(PinBases);
  OPERATION(ReduceChunks);
  OPERATION(SegmentsReduced);
  OPERATION(ReclaimChunks);
  OPERATION(RemoveSegments);
  OPERATION(AuditChunks);
  OPERATION(AuditSegments);
  OPERATION(RepairChunk);
  OPERATION(RepairSegment);
  OPERATION(JournalAppend);
  OPERATION(JournalRead);
  OPERATION(SealFromJournal);
  OPERATION(JournalDrop);
  OPERATION(ShardWrite);
  OPERATION(ShardRead);
  OPERATION(ShardRemove);
  OPERATION(ShardHolds);
  OPERATION(Scrub);
#undef OPERATION
}

}  // namespace
}  // namespace claudefs::data
