// One group on this node: its core, its state machine, and who waits for what.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "raft/core.h"
#include "raft/state_machine.h"
#include "runtime/sync.h"

namespace claudefs::raft {

struct HostedGroup {
  HostedGroup(ShardId group_id, Core made, StateMachine& state_machine)
      : id(group_id), core(std::move(made)), machine(state_machine) {}

  const ShardId id;
  Core core;
  StateMachine& machine;
  NodeId preferred{};
  std::vector<NodeId> voters;  // of which `preferred` is one

  bool dirty = false;        // is in the host's list for the next turn
  bool wants_write = false;  // is in the host's list for the next log append
  bool applying = false;     // an apply task runs
  // The state machine was told that this replica leads, in `announced_term`.
  bool announced = false;
  Term announced_term{};
  runtime::Instant led_since{};

  struct Proposal {
    Term term;
    std::size_t bytes;
    std::shared_ptr<runtime::Promised<Result<Buffer>>> reply;
  };
  std::map<LogIndex, Proposal> proposals;
  std::size_t proposed_bytes = 0;  // by `proposals`
  using Waiter = std::shared_ptr<runtime::Promised<Result<LogIndex>>>;
  std::map<u64, Waiter> reads;               // unconfirmed, by read id
  std::multimap<LogIndex, Waiter> to_apply;  // confirmed, waiting for this index

  struct Install {
    NodeId from{};
    Term term{};
    LogIndex index{};
    u64 next_offset = 0;
    bool finishing = false;  // the last piece is here; the state machine makes it durable
  };
  std::optional<Install> install;
};

}  // namespace claudefs::raft
