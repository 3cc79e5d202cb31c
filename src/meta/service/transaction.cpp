#include "meta/service/transaction.h"

#include <set>

#include "meta/hlc.h"

namespace claudefs::meta {
namespace {

constexpr u64 kDecideWithin = 60'000;  // milliseconds; tombstones live longer

// Errors after which a proposal may still be applied.
bool is_ambiguous(Errc code) {
  return code == Errc::unavailable || code == Errc::timed_out || code == Errc::connection_lost ||
         code == Errc::cancelled;
}

}  // namespace

struct Coordinator::Transaction {
  TxnId id{};
  ShardId shard{};
  SessionId session{};
  u32 step = 0;
  std::set<ShardId> participants;  // that may have prepared
  After after;
  FragmentContent cut;
};

TxnId Coordinator::next_txn(ShardId shard) {
  const u64 term = service_.machine(shard)->applied_term().value & 0xfffff;  // a leader's no-op is applied
  return TxnId{u64{shard.value} << 50 | term << 30 | (++count_ & 0x3fffffff)};
}

runtime::Task<Result<Buffer>> Coordinator::run(ShardId shard, cluster::RequestId id, Work work) {
  Transaction txn{next_txn(shard), shard, id.session, 0, {}, {}, {}};
  Decide decide = begin(shard, txn.id);
  std::map<ShardId, std::vector<Part>> remote;
  for (Part& part : work.parts) {
    if (shard_of(part) != shard || is_of_fragment(part)) {
      remote[shard_of(part)].push_back(std::move(part));
      continue;
    }
    const std::optional<Inode> inode = co_await validate(service_.machine(shard)->reader(), part);
    if (inode) txn.after[inode->id] = *inode;
    if (auto* links = std::get_if<AdjustLinks>(&part))
      links->nlink_expected = static_cast<u32>(inode->nlink - links->delta);
    decide.parts.push_back(std::move(part));
  }
  Result<void> prepared;
  if (!work.moves.empty()) prepared = co_await hold_rename_lock(txn, work).result();
  if (prepared) prepared = co_await prepare_all(txn, std::move(remote)).result();
  if (prepared) decide.reply = work.answer(txn.after);
  co_return co_await finish(txn, id, std::move(decide), std::move(prepared)).result();
}

Decide Coordinator::begin(ShardId shard, TxnId txn) {
  Decide decide;
  decide.txn = txn;
  // The shard's clock may be ahead of ours: another leader's was.
  const Hlc clock = std::max(hlc_of(service_.env().wall_now()), service_.machine(shard)->last_hlc());
  decide.deadline = hlc_after(clock, kDecideWithin);
  return decide;
}

runtime::Task<Result<void>> Coordinator::move_entries(ShardId shard, Move move) {
  Transaction txn{next_txn(shard), shard, SessionId{}, 0, {}, {}, {}};
  Decide decide = begin(shard, txn.id);
  std::map<ShardId, std::vector<Part>> parts;
  parts[shard_of(move.source.front())] = std::move(move.source);
  Result<void> prepared = co_await prepare_all(txn, std::move(parts)).result();
  if (prepared) {
    parts.clear();
    for (Part& part : move.rest(std::move(txn.cut))) parts[shard_of(part)].push_back(std::move(part));
    prepared = co_await prepare_all(txn, std::move(parts)).result();
  }
  decide.reply = wire::encode(Nothing{});
  co_await finish(txn, {}, std::move(decide), std::move(prepared));
  co_return Result<void>();
}

runtime::Task<Result<Buffer>> Coordinator::finish(Transaction& txn, cluster::RequestId id, Decide decide,
                                                  Result<void> prepared) {
  Result<Buffer> outcome = prepared ? Result<Buffer>(Buffer()) : fail(prepared.error());
  if (prepared) {
    decide.participants.assign(txn.participants.begin(), txn.participants.end());
    outcome = co_await service_.propose(txn.shard, Decide::kKind, id, wire::encode(decide)).result();
    if (outcome || is_ambiguous(outcome.error().code)) co_return std::move(outcome);
  }
  for (const ShardId participant : txn.participants) scope_.spawn(abort(participant, txn.id));
  co_return std::move(outcome);
}

// Only who holds it moves directories to other parents: what is above a directory stays while we look.
runtime::Task<Result<void>> Coordinator::hold_rename_lock(Transaction& txn, const Work& work) {
  std::map<ShardId, std::vector<Part>> lock;
  lock[ShardId{0}].push_back(HoldRenameLock{});
  co_await prepare_all(txn, std::move(lock));
  for (const auto& [directory, below] : work.moves) co_await check_no_loop(directory, below);
  co_return Result<void>();
}

runtime::Task<Result<void>> Coordinator::check_no_loop(InodeId directory, InodeId below) {
  for (InodeId at = below; at != InodeId{};) {
    if (at == directory) co_return fail(Errc::would_loop);
    const InodeReply reply = co_await service_.call_op(at.shard(), GetAttributes(at));
    at = reply.inode.parent == at ? InodeId{} : reply.inode.parent;
  }
  co_return Result<void>();
}

runtime::Task<Result<void>> Coordinator::prepare_all(Transaction& txn,
                                                     std::map<ShardId, std::vector<Part>> remote) {
  ++txn.step;
  std::vector<runtime::Task<Result<PrepareReply>>> asked;
  for (auto& [participant, parts] : remote) {
    txn.participants.insert(participant);
    Prepare op{txn.id, txn.shard, {}, txn.step, std::move(parts), txn.session};
    asked.push_back(service_.call_op(participant, std::move(op)));
  }
  std::vector<Result<PrepareReply>> replies =
      co_await runtime::join_all<Result<PrepareReply>>(service_.env().executor(), std::move(asked));
  for (Result<PrepareReply>& reply : replies) {
    if (!reply) co_return fail(std::move(reply.error()));
    if (reply->code != Errc::ok) co_return fail(reply->code, std::move(reply->text));
    for (Inode& inode : reply->inodes) txn.after[inode.id] = std::move(inode);
    if (!reply->cut.empty()) txn.cut = std::move(reply->cut.front());
  }
  co_return Result<void>();
}

// Only hastens what the participant would find out by itself.
runtime::Task<void> Coordinator::abort(ShardId at, TxnId txn) {
  (void)co_await service_.call_op(at, AbortTransaction(txn)).result();
}

}  // namespace claudefs::meta
