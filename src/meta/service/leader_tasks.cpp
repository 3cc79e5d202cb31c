// What the leader of a shard does by itself.
#include "base/log.h"
#include "base/probe.h"
#include "meta/detail/keys.h"
#include "meta/detail/records.h"
#include "meta/detail/trash.h"
#include "meta/service/namespace_service.h"

namespace claudefs::meta {
namespace {

using namespace std::chrono_literals;
constexpr runtime::Duration kHoldOpenFor = 30s;  // after the last HoldOpen that names an inode
constexpr u64 kOpenOrphanAge = 30'000;           // milliseconds; its holder has had time to say so
constexpr u64 kOrphanAge = 2'000;                // somebody may just be opening it
constexpr u64 kSessionIdle = 3'600'000;          // milliseconds
constexpr u64 kTombstoneAge = 600'000;           // longer than a transaction may take to be decided
constexpr runtime::Duration kPreparedAge = 2s;   // then the coordinator is asked
constexpr std::size_t kOrphansAtOnce = 512;      // a second; some milliseconds of the reactor
constexpr u32 kSpaceEvery = 4;                   // seconds
constexpr u64 kShareForSpace = 8;                // so much of the trash gives way each time

}  // namespace

runtime::Task<void> NamespaceService::format(ShardId shard, Term) {
  if (shard != kRootInode.shard()) co_return;
  while (!service_.machine(shard)->reader().get(inode_key(kRootInode))) {
    const Result<Nothing> done = co_await service_.propose_op(shard, Format()).result();
    if (!done) co_await service_.env().executor().sleep(200ms);
  }
}

runtime::Task<void> NamespaceService::clean_up(ShardId shard, Term) {
  const runtime::Instant leading_since = service_.env().now();
  for (u32 round = 1;; ++round) {
    co_await service_.env().executor().sleep(1s);
    (void)co_await purge(shard, leading_since).result();
    (void)co_await empty_trash(shard, round % kSpaceEvery == 0).result();
    if (round % 60 == 0) (void)co_await expire(shard).result();
  }
}

// By a session that has not expired meanwhile.
bool NamespaceService::is_held(ShardId shard, InodeId inode) const {
  const ReadContext& state = service_.machine(shard)->reader();
  const runtime::Instant now = service_.env().now();
  for (auto at = held_open_.lower_bound({inode, SessionId{}});
       at != held_open_.end() && at->first.first == inode; ++at) {
    if (now - at->second >= kHoldOpenFor) continue;
    const auto record = state.load<SessionRecord>(session_key(at->first.second));
    if (!record || !record->fenced) return true;
  }
  return false;
}

std::vector<InodeId> NamespaceService::purgeable(ShardId shard, runtime::Instant leading_since) {
  std::vector<InodeId> out;
  const runtime::Instant now = service_.env().now();
  if (now - leading_since < kHoldOpenFor) return out;  // those who hold files have not told this leader yet
  const Hlc wall = hlc_of(service_.env().wall_now());
  const std::string table = key_of_table(Table::orphan);
  service_.machine(shard)->reader().scan(table, table, [&](std::string_view key, std::string_view value) {
    const Result<OrphanRecord> orphan = wire::decode<OrphanRecord>(as_bytes(value));
    CFS_CHECK(orphan.has_value());
    const InodeId inode{number_in(key, 1)};
    const bool is_old = orphan->since < hlc_before(wall, orphan->was_open ? kOpenOrphanAge : kOrphanAge);
    if (is_old && !is_held(shard, inode)) out.push_back(inode);
    return out.size() < kOrphansAtOnce;
  });
  std::erase_if(held_open_, [&](const auto& entry) { return now - entry.second >= kHoldOpenFor; });
  return out;
}

runtime::Task<Result<void>> NamespaceService::purge(ShardId shard, runtime::Instant leading_since) {
  PurgeInodes op{purgeable(shard, leading_since)};
  if (!op.inodes.empty()) {
    CFS_PROBE(meta_orphans_purged, "files without names that nobody holds open go");
    co_await service_.propose_op(shard, std::move(op));
  }
  const std::string table = key_of_table(Table::purge);
  for (;;) {
    bool any = false;
    service_.machine(shard)->reader().scan(table, table, [&](std::string_view, std::string_view) {
      any = true;
      return false;
    });
    if (!any) co_return Result<void>();
    co_await service_.propose_op(shard, PurgeExtents());
  }
}

// Where space is short the oldest give way too, an eighth at a time: it takes up to half a minute until the
// disks show what has become free.
runtime::Task<Result<void>> NamespaceService::empty_trash(ShardId shard, bool look_at_space) {
  const ReadContext& state = service_.machine(shard)->reader();
  if (look_at_space && trash_.is_space_short && trash_.is_space_short()) {
    const auto usage = state.load<ShardUsageReply>(usage_key()).value_or(ShardUsageReply{});
    EmptyTrash op;
    op.before = Hlc{~u64{0}};
    op.bytes_max = usage.trashed_bytes / kShareForSpace;
    co_await service_.propose_op(shard, std::move(op));
  }
  TrashPlace& looked_at = trash_looked_at_[shard];
  DueTrash due = due_trash(state, looked_at, hlc_of(service_.env().wall_now()), trash_);
  looked_at = due.next;
  if (!due.places.empty()) co_await service_.propose_op(shard, ExpireTrash{std::move(due.places)});
  co_return Result<void>();
}

runtime::Task<Result<void>> NamespaceService::expire(ShardId shard) {
  for (bool more = true; more;) {
    const Hlc now = hlc_of(service_.env().wall_now());
    const Expire op{hlc_before(now, kSessionIdle), hlc_before(now, kTombstoneAge)};
    const PurgeReply done = co_await service_.propose_op(shard, op);
    more = done.more;
  }
  co_return Result<void>();
}

// A transaction whose end this shard has not heard of: its coordinator may have died before it decided.
// Stamps come from clocks that may be set, and leaders may come and go: old is what either takes to be.
runtime::Task<void> NamespaceService::resolve_prepared(ShardId shard, Term) {
  std::map<TxnId, runtime::Instant> seen;
  for (;;) {
    co_await service_.env().executor().sleep(500ms);
    const runtime::Instant now = service_.env().now();
    const Hlc late = hlc_before(hlc_of(service_.env().wall_now()), kPreparedAge / 1ms);
    std::map<TxnId, runtime::Instant> still;
    std::vector<Prepare> waiting;
    const std::string table = key_of_table(Table::prepared);
    service_.machine(shard)->reader().scan(table, table, [&](std::string_view, std::string_view value) {
      Result<Prepare> prepared = wire::decode<Prepare>(as_bytes(value));
      CFS_CHECK(prepared.has_value());
      const auto before = seen.find(prepared->txn);
      const runtime::Instant since = before == seen.end() ? now : before->second;
      still.emplace(prepared->txn, since);
      if (prepared->at < late || now - since >= kPreparedAge) waiting.push_back(std::move(*prepared));
      return waiting.size() < 64;
    });
    seen = std::move(still);
    for (Prepare& prepared : waiting) (void)co_await resolve(shard, std::move(prepared)).result();
  }
}

runtime::Task<Result<void>> NamespaceService::resolve(ShardId shard, Prepare prepared) {
  const ResolveReply settled = co_await service_.call_op(prepared.coordinator, Resolve(prepared.txn));
  if (settled.committed) {  // the outbox brings it
    CFS_PROBE(meta_transaction_found_decided, "a participant that waited hears that it is decided");
    co_return Result<void>();
  }
  CFS_PROBE(meta_transaction_given_up, "a participant aborts what its coordinator never decided");
  log::info("meta", "a transaction was not decided; giving up its locks",
            {log::kv("shard", shard), log::kv("transaction", prepared.txn)});
  co_await service_.propose_op(shard, AbortTransaction(prepared.txn));
  co_return Result<void>();
}

}  // namespace claudefs::meta
