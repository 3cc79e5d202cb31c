// The replicated state machine of one shard. What it answers and stores depends on the entries alone.
#pragma once

#include <deque>

#include "meta/commands.h"
#include "meta/detail/overlay.h"
#include "meta/detail/records.h"

namespace claudefs::meta {

class Machine final : public ShardMachine {
 public:
  Machine(store::Kv& kv, const OperationTable& table, ShardId shard, u16 shard_count)
      : kv_(kv), table_(table), stored_(kv, shard, shard_count) {}
  Result<void> load();

  std::vector<Buffer> apply(const std::vector<raft::Committed>& entries) override;
  LogIndex applied() const override { return applied_.index; }
  Term applied_term() const override { return applied_.term; }
  LogIndex durable() const override { return durable_; }
  Result<std::unique_ptr<raft::SnapshotSource>> snapshot() override;
  Result<void> begin_install() override;
  Result<void> install(const Buffer& piece) override;
  runtime::Task<Result<void>> finish_install(LogIndex index, Term term) override;
  void on_leadership(bool leader, Term term) override;

  Result<Buffer> query(u16 kind, const Buffer& body) override;
  std::optional<Outcome> recorded(const cluster::RequestId& id) const override;
  Hlc last_hlc() const override { return hlc_; }
  void set_leadership_listener(std::function<void(bool, Term)> listener) override {
    leadership_listener_ = std::move(listener);
  }
  void set_outbox_listener(std::function<void(bool)> listener) override {
    outbox_listener_ = std::move(listener);
  }
  const ReadContext& reader() const override { return stored_; }
  void note_durable(LogIndex index) override { durable_ = std::max(durable_, index); }

 private:
  // One apply() call.
  struct Batch {
    explicit Batch(const StoredState& stored) : overlay(stored) {}
    Overlay overlay;
    std::deque<CommandEntry> to_self;  // emitted by commands of this batch to this very shard
    bool emitted = false;
    bool emitted_urgent = false;
  };
  class Context;

  Outcome apply_entry(Batch& batch, const Buffer& command);
  Outcome apply_once(Batch& batch, const CommandEntry& entry);
  // `may_refuse`: whoever sent it can be told that a quota is in the way.
  Outcome execute(Batch& batch, const CommandEntry& entry, bool may_refuse);
  Outcome deliver(Batch& batch, const CommandEntry& entry);
  void run_to_self(Batch& batch);
  std::optional<Outcome> recall(const Batch& batch, const cluster::RequestId& id) const;
  void remember(Batch& batch, const cluster::RequestId& id, const Outcome& outcome);
  void write(const store::KvBatch& batch);
  Result<void> drop_state();

  store::Kv& kv_;
  const OperationTable& table_;
  StoredState stored_;
  AppliedRecord applied_;
  LogIndex durable_{};
  Hlc hlc_{};
  std::function<void(bool, Term)> leadership_listener_;
  std::function<void(bool)> outbox_listener_;
};

// Pieces of a snapshot: docs/formats/metadata.md.
std::unique_ptr<raft::SnapshotSource> make_snapshot_source(const StoredState& stored, LogIndex index);
Result<store::KvBatch> decode_snapshot_piece(ShardId shard, const Buffer& piece);

// Errors that say "not now": the same request may be executed later, so its outcome is not recorded.
inline bool is_transient(Errc code) {
  return code == Errc::busy || code == Errc::conflict || code == Errc::cross_device ||
         code == Errc::quota_exceeded;
}

}  // namespace claudefs::meta
