// The coordinator of transactions over shards: docs/architecture/transactions.md.
#pragma once

#include "meta/ops/ops.h"
#include "meta/shard_service.h"
#include "runtime/scope.h"

namespace claudefs::meta {

class Coordinator {
 public:
  explicit Coordinator(ShardService& service) : service_(service), scope_(service.env().executor()) {}

  struct Work {
    std::vector<Part> parts;
    std::vector<std::pair<InodeId, InodeId>> moves;  // directory, and what it must not contain
    std::function<Buffer(const After&)> answer;
  };
  template <class Reply>
  static Work work_of(Plan<Reply> plan) {
    Work work{std::move(plan.parts), {}, [answer = std::move(plan.answer)](const After& after) {
                return wire::encode(answer(after));
              }};
    for (const auto& move : plan.moves) work.moves.emplace_back(move.directory, move.below);
    return work;
  }
  // Performs all parts or none; gives the answer, recorded under `id`. `shard` is led here and coordinates.
  // Errc::busy: another transaction was in the way; plan again.
  runtime::Task<Result<Buffer>> run(ShardId shard, cluster::RequestId id, Work work);

  // Entries leave a directory or fragment: `source` is prepared first (all in one shard), and what it tells
  // of them makes the rest. For nobody: every lease on what changes is recalled.
  struct Move {
    std::vector<Part> source;
    std::function<std::vector<Part>(FragmentContent)> rest;
  };
  runtime::Task<Result<void>> move_entries(ShardId shard, Move move);

 private:
  struct Transaction;
  runtime::Task<Result<void>> hold_rename_lock(Transaction& txn, const Work& work);
  runtime::Task<Result<void>> prepare_all(Transaction& txn, std::map<ShardId, std::vector<Part>> remote);
  runtime::Task<Result<void>> check_no_loop(InodeId directory, InodeId below);
  Decide begin(ShardId shard, TxnId txn);
  runtime::Task<Result<Buffer>> finish(Transaction& txn, cluster::RequestId id, Decide decide,
                                       Result<void> prepared);
  runtime::Task<void> abort(ShardId at, TxnId txn);
  TxnId next_txn(ShardId shard);

  ShardService& service_;
  u64 count_ = 0;
  runtime::Scope scope_;
};

}  // namespace claudefs::meta
