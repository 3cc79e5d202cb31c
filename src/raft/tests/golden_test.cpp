// Goal: the log's records and the messages of today can be read by what comes later.
#include "wire/tests/golden.h"
#include "raft/detail/host/raft_log.h"
#include "raft/detail/host/wire_messages.h"

namespace claudefs::raft {
namespace {

TEST(Golden, RecordsAndMessages) {
  wire::GoldenLines lines("raft.txt");
  lines.check<LogBatch>("LogBatch");
  lines.check_with_reply<RaftMessages>("RaftMessages");
  lines.check_with_reply<AskStand>("AskStand");
  lines.check_with_reply<SnapshotPiece>("SnapshotPiece");
}

}  // namespace
}  // namespace claudefs::raft
