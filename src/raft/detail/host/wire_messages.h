// What hosts say to each other. Both methods answer at once; nothing waits for a disk inside a call.
#pragma once

#include "net/rpc.h"
#include "raft/types.h"

namespace claudefs::raft {

// Messages of any groups, in order. Raft copes with their loss. Also a sign of life of the sender: an empty
// one leaves when nothing else does for a heartbeat (PeerWatch).
struct RaftMessages {
  static constexpr u16 kMethod = 0x0101;
  using Reply = net::Empty;
  std::vector<Message> messages;
  u64 boot = 0;  // of the sending process, another one after each start
  u32 pace = 0;  // of the sender, microseconds (Pace); 0: not known
  static auto fields(auto& self) { return std::tie(self.messages, self.boot, self.pace); }
};

// Asked by a node that may have lost its memory: where do you stand? It has forgotten what it acknowledged.
struct GroupStand {
  ShardId group{};
  Term term{};
  LogEnd end;
  static auto fields(auto& self) { return std::tie(self.group, self.term, self.end); }
};
struct StandReply {
  bool remembers = false;  // no: its memory may be lost as well
  std::vector<GroupStand> groups;
  std::vector<Configuration> members;  // as each of `groups` has it; empty: of a version without changes
  static auto fields(auto& self) { return std::tie(self.remembers, self.groups, self.members); }
};
struct AskStand {
  static constexpr u16 kMethod = 0x0103;
  using Reply = StandReply;
  static auto fields(auto&) { return std::tie(); }
};

struct SnapshotReply {
  bool accepted = false;
  bool have = false;  // the receiver needs none: it has applied this much
  // How much of this very snapshot has arrived: a sender that was interrupted goes on there.
  u64 next_offset = 0;
  static auto fields(auto& self) { return std::tie(self.accepted, self.have, self.next_offset); }
};
// One piece of a state machine's picture; the piece itself is the payload.
struct SnapshotPiece {
  static constexpr u16 kMethod = 0x0102;
  using Reply = SnapshotReply;
  ShardId group{};
  NodeId from{};
  Term term{};  // of the leader
  LogStart start;
  u64 offset = 0;
  bool last = false;
  static auto fields(auto& self) {
    return std::tie(self.group, self.from, self.term, self.start, self.offset, self.last);
  }
};

}  // namespace claudefs::raft
