#include "meta/txn/txn.h"

#include "base/mutant.h"
#include "base/probe.h"
#include "meta/detail/fragments.h"
#include "meta/detail/keys.h"
#include "meta/detail/locks.h"
#include "meta/detail/quota.h"
#include "meta/detail/records.h"
#include "meta/detail/volumes.h"

namespace claudefs::meta {

CFS_DEFINE_MUTANT(meta_transaction_half, "meta: only the first part of a decided transaction is performed");
CFS_DEFINE_MUTANT(meta_abort_performs, "meta: an aborted transaction is performed");
CFS_DEFINE_MUTANT(meta_prepares_without_locks, "meta: a prepared transaction holds no locks");
namespace {

// What a fragment or directory loses, whoever gets it has to know. It is locked from now on.
void tell_content(const ReadContext& context, const Part& part, PrepareReply& reply) {
  if (const auto* cut = std::get_if<CutEntries>(&part))
    reply.cut.push_back(content_of(context, cut->from, cut->first, cut->end));
}

Result<void> check_part(const ApplyContext& context, const Part& part, PrepareReply& reply) {
  if (shard_of(part) != context.shard()) return fail(Errc::invalid_argument, "a part of another shard");
  for (const LockNeed& need : locks_of(part)) TRY(check_free(context, need.object, need.exclusive));
  TRY_ASSIGN(const std::optional<Inode> inode, validate(context, part));
  // Not when it is performed: what was promised before the volume was deleted is kept, and purged.
  if (const auto* made = std::get_if<MakeInode>(&part))
    TRY(check_volume_lives(context, made->born.inode.volume));
  if (const auto* made = std::get_if<MakeFragment>(&part))
    TRY(check_volume_lives(context, made->born.inode.volume));
  if (inode) reply.inodes.push_back(*inode);
  tell_content(context, part, reply);
  return {};
}

// Fails at once on a lock that another holds: who waits while holding locks can wait for ever.
Result<PrepareReply> apply_prepare(ApplyContext& context, const Prepare& op) {
  PrepareReply reply;
  const std::string key = txn_key(Table::prepared, op.txn);
  std::optional<PreparedRecord> record = context.load<PreparedRecord>(key);
  if (record && record->step >= op.step) {  // asked again: the locks are ours
    CFS_PROBE(meta_transaction_prepared_again, "a participant is asked again for what it has prepared");
    for (const Part& part : op.parts) {
      TRY_ASSIGN(const std::optional<Inode> inode, validate(context, part));
      if (inode) reply.inodes.push_back(*inode);
      tell_content(context, part, reply);
    }
    return reply;
  }
  for (const Part& part : op.parts) {
    if (Result<void> good = check_part(context, part, reply); !good)
      return PrepareReply{good.error().code, std::move(good.error().text), {}, {}};
    if (const auto* made = std::get_if<MakeInode>(&part)) expect_inode(context, made->born.inode);
  }
  if (!record) record = PreparedRecord{op.txn, op.coordinator, context.hlc(), op.step, {}};
  record->step = op.step;
  record->parts.insert(record->parts.end(), op.parts.begin(), op.parts.end());
  context.store(key, *record);
  if (CFS_MUTANT(meta_prepares_without_locks)) return reply;
  for (const Part& part : op.parts)
    for (const LockNeed& need : locks_of(part)) take_lock(context, need.object, op.txn, need.exclusive);
  return reply;
}

std::optional<PreparedRecord> take_prepared(ApplyContext& context, TxnId txn) {
  const std::string key = txn_key(Table::prepared, txn);
  std::optional<PreparedRecord> record = context.load<PreparedRecord>(key);
  if (!record) return std::nullopt;
  context.remove(key);
  for (const Part& part : record->parts)
    for (const LockNeed& need : locks_of(part)) release_lock(context, need.object, txn);
  return record;
}

Result<Nothing> apply_commit(ApplyContext& context, const CommitTransaction& op) {
  const std::optional<PreparedRecord> record = take_prepared(context, op.txn);
  if (!record)
    return fail(Errc::corrupt, fmt::format("transaction {:#x} was decided but is not prepared", op.txn));
  for (const Part& part : record->parts) {
    perform(context, part);
    if (CFS_MUTANT(meta_transaction_half)) break;
  }
  return Nothing{};
}

Result<Nothing> apply_abort(ApplyContext& context, const AbortTransaction& op) {
  const std::optional<PreparedRecord> record = take_prepared(context, op.txn);
  if (CFS_MUTANT(meta_abort_performs) && record)
    for (const Part& part : record->parts) perform(context, part);
  return Nothing{};
}

Result<Buffer> apply_decide(ApplyContext& context, const Buffer& body) {
  TRY_ASSIGN(const Decide op, wire::decode<Decide>(body));
  if (context.get(txn_key(Table::tombstone, op.txn)) || context.hlc() > op.deadline) {
    CFS_PROBE(meta_transaction_too_late, "a decision comes after it was ruled out");
    return fail(Errc::busy, "the transaction took too long and was aborted");
  }
  // All parts fitted when it was planned: whatever does not now says "plan again", and is no answer to
  // remember.
  if (const auto fits = run_parts(context, op.parts); !fits)
    return fail(Errc::busy, "an entry was changed by another request: " + fits.error().text);
  u32 unheard = 0;
  for (const ShardId participant : op.participants) {
    context.emit(participant, CommitTransaction{op.txn});
    if (participant != context.shard()) ++unheard;
  }
  if (unheard != 0) context.store(txn_key(Table::decision, op.txn), DecisionRecord{context.hlc(), unheard});
  return op.reply;
}

Result<ResolveReply> apply_resolve(ApplyContext& context, const Resolve& op) {
  if (context.get(txn_key(Table::decision, op.txn))) return ResolveReply{true};
  CFS_PROBE(meta_transaction_foreclosed, "a coordinator rules out a decision that it never made");
  context.store(txn_key(Table::tombstone, op.txn), DecisionRecord{context.hlc(), 0});
  return ResolveReply{false};
}

}  // namespace

void register_transactions(OperationTable& table) {
  table.command<Prepare>(apply_prepare);
  table.command<CommitTransaction>(apply_commit);
  table.command<AbortTransaction>(apply_abort);
  table.command<Resolve>(apply_resolve);
  table.add_command(Decide::kKind, apply_decide);
}

}  // namespace claudefs::meta
