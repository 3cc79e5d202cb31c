// What a Raft group replicates. raft/ knows nothing of file systems.
#pragma once

#include <memory>
#include <vector>

#include "base/buffer.h"
#include "base/ids.h"
#include "base/result.h"
#include "runtime/task.h"

namespace claudefs::raft {

struct Committed {
  LogIndex index{};
  Term term{};
  Buffer command;  // empty: a leader's no-op or a configuration change; apply it as nothing, but count it
};

// A consistent picture of a state machine, read in pieces while the machine goes on.
class SnapshotSource {
 public:
  virtual ~SnapshotSource() = default;
  virtual LogIndex index() const = 0;
  // Next piece, at most about 1 MiB; empty at the end. One index has one sequence of pieces.
  virtual Result<Buffer> next() = 0;
};

// Called on the reactor's thread only. Deterministic: equal commands in equal order give equal state and
// replies.
class StateMachine {
 public:
  virtual ~StateMachine() = default;
  // Applies entries in order, as one atomic write that also stores the last index. One reply per entry.
  virtual std::vector<Buffer> apply(const std::vector<Committed>& entries) = 0;
  virtual LogIndex applied() const = 0;
  virtual Term applied_term() const = 0;
  // The last index that surely survives a crash: the log must be kept from there.
  virtual LogIndex durable() const = 0;

  virtual Result<std::unique_ptr<SnapshotSource>> snapshot() = 0;
  // Installing: begin (drops the old state), add pieces in order, finish. A crash in between leaves the old
  // state, or one that applied() reports as index 0, so that the leader starts again. A piece that install()
  // refuses changes nothing: it is sent again. finish_install() ends when all of it is durable: only then
  // does the log let go of the entries it stands for.
  virtual Result<void> begin_install() = 0;
  virtual Result<void> install(const Buffer& piece) = 0;
  virtual runtime::Task<Result<void>> finish_install(LogIndex index, Term term) = 0;

  // Leadership of this replica began (every earlier entry is applied) or ended.
  virtual void on_leadership(bool leader, Term term) = 0;
};

}  // namespace claudefs::raft
