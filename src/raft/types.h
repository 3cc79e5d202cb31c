// What Raft replicates and says: entries, hard state, configurations, messages. Plain data, with wire fields.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <tuple>
#include <vector>

#include "base/buffer.h"
#include "base/ids.h"

namespace claudefs::raft {

// Stored: never renumber.
enum class EntryKind : u8 { noop = 0, command = 1, configuration = 2 };

struct Entry {
  LogIndex index{};
  Term term{};
  EntryKind kind = EntryKind::noop;
  Buffer data;
  static auto fields(auto& self) { return std::tie(self.index, self.term, self.kind, self.data); }
  std::size_t bytes() const { return data.size() + 32; }
};

// Durable before any message of its term leaves the node (Raft paper, figure 2).
struct HardState {
  Term term{};
  NodeId vote{};  // 0: none
  bool operator==(const HardState&) const = default;
  static auto fields(auto& self) { return std::tie(self.term, self.vote); }
};

// Who belongs to a group. While `outgoing` is not empty the group is in joint consensus (paper, section 6):
// every decision then needs a majority of the voters and a majority of the outgoing voters.
struct Configuration {
  std::vector<NodeId> voters;    // sorted
  std::vector<NodeId> outgoing;  // sorted; empty outside joint consensus
  std::vector<NodeId> learners;  // sorted; get entries, do not count
  bool operator==(const Configuration&) const = default;
  static auto fields(auto& self) { return std::tie(self.voters, self.outgoing, self.learners); }

  static Configuration of(std::vector<NodeId> members);
  bool is_voter(NodeId node) const;
  bool is_member(NodeId node) const;     // a voter, or a learner
  std::vector<NodeId> everyone() const;  // sorted, each once
  // Does a quorum satisfy `agrees`? False without voters.
  bool quorum(const std::function<bool(NodeId)>& agrees) const;
  // The largest value that a quorum has reached; 0 without voters.
  u64 quorum_value(const std::function<u64(NodeId)>& value_of) const;
};

// A replica's newest entry. Ordered as elections compare logs (paper, section 5.4.1).
struct LogEnd {
  Term term{};
  LogIndex index{};
  auto operator<=>(const LogEnd&) const = default;
  static auto fields(auto& self) { return std::tie(self.term, self.index); }
};

// Where a replica stands.
struct Stand {
  Term term{};
  LogEnd end;
  Configuration configuration;  // as of `end`
  bool operator==(const Stand&) const = default;
};
// Of all replicas but one: the highest term, and the longest log of a voter. That has all that is committed,
// and says who the members are.
Stand newest_of(const std::map<NodeId, Stand>& told);

// Where a log begins: entries at and below `index` live in the state machine only.
struct LogStart {
  LogIndex index{};
  Term term{};
  Configuration configuration;
  static auto fields(auto& self) { return std::tie(self.index, self.term, self.configuration); }
};

// Travels between nodes of any mix of versions: never renumber.
enum class MessageKind : u8 {
  pre_vote = 1,
  pre_vote_reply = 2,
  vote = 3,
  vote_reply = 4,
  append = 5,
  append_reply = 6,
  heartbeat = 7,
  heartbeat_reply = 8,
  timeout_now = 9,
  quiet = 10,        // nothing goes on: fall silent, if `index` and `log_term` are your log's end
  quiet_reply = 11,  // did so
};

struct Message {
  MessageKind kind{};
  ShardId group{};
  NodeId from{};
  NodeId to{};
  Term term{};  // pre_vote and a granted pre_vote_reply: the term the candidate would have
  // append: the entry before `entries`. vote, pre_vote: the candidate's last entry. append_reply: the last
  // entry that matches, or the refused one.
  LogIndex index{};
  Term log_term{};
  LogIndex commit{};
  // A leader's clock (ns) when it sent; echoed in replies. Leases and ReadIndex count from it.
  u64 stamp = 0;
  bool reject = false;
  bool force = false;           // vote: by leadership transfer, so leases do not protect the old leader
  bool wants_snapshot = false;  // replies: this replica's state machine lacks what its log begins after
  // append_reply that rejects: the last entry here with a term not above log_term (fast back-up). append,
  // heartbeat: the newest committed entry that the follower once acknowledged; 0: none.
  LogIndex hint_index{};
  Term hint_term{};
  std::vector<Entry> entries;
  static auto fields(auto& self) {
    return std::tie(self.kind, self.group, self.from, self.to, self.term, self.index, self.log_term,
                    self.commit, self.stamp, self.reject, self.force, self.wants_snapshot, self.hint_index,
                    self.hint_term, self.entries);
  }
  std::size_t bytes() const {
    std::size_t sum = 64;
    for (const Entry& entry : entries) sum += entry.bytes();
    return sum;
  }
};

}  // namespace claudefs::raft
