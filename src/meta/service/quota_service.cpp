#include "meta/service/quota_service.h"

#include "base/probe.h"
#include "meta/detail/namespace.h"
#include "meta/detail/quota.h"
#include "meta/ops/ops.h"

namespace claudefs::meta {
namespace {

using namespace std::chrono_literals;
using runtime::Task;

constexpr runtime::Duration kHeardWithin = 1500ms;  // requests between nodes are sent again after 2 s
constexpr runtime::Duration kMovedWithin = 500ms;   // a message between two shards
constexpr runtime::Duration kWatchEvery = 5s;
constexpr int kRounds = 3;  // what comes back may be granted to others who ask

}  // namespace

// Of every shard, all at once; the sum of what `figure` names in their answers.
template <class Op>
Task<Result<QuotaUse>> QuotaService::sum_of(Op op, QuotaUse Op::Reply::* figure) {
  std::vector<Task<Result<typename Op::Reply>>> asked;
  for (u16 shard = 0; shard < service_.shard_count(); ++shard)
    asked.push_back(service_.call_op(ShardId{shard}, op));
  QuotaUse sum;
  for (Result<typename Op::Reply>& reply :
       co_await runtime::join_all(service_.env().executor(), std::move(asked))) {
    if (!reply) co_return fail(std::move(reply.error()));
    sum += (*reply).*figure;
  }
  co_return sum;
}

// All that the shards hold and do not need comes back to the home.
Task<Result<QuotaUse>> QuotaService::collect(QuotaSubject subject) {
  return sum_of(ReturnQuota{subject}, &ReturnQuota::Reply::returned);
}

Task<Result<QuotaUse>> QuotaService::use_of_all(QuotaSubject subject) {
  return sum_of(ReadQuotaRow{subject}, &ReadQuotaRow::Reply::use);
}

Task<std::vector<ShardId>> QuotaService::await_heard(QuotaSubject subject, bool limited, Hlc version) {
  std::vector<ShardId> waiting;
  for (u16 shard = 0; shard < service_.shard_count(); ++shard) waiting.push_back(ShardId{shard});
  const runtime::Instant end = service_.env().now() + kHeardWithin;
  for (;;) {
    std::vector<ShardId> unheard;
    for (const ShardId shard : waiting) {
      const Result<ReadQuotaRow::Reply> row =
          co_await service_.call_op(shard, ReadQuotaRow(subject)).result();
      const bool heard = row && (row->version >= version || (!limited && !row->limited));
      if (!heard) unheard.push_back(shard);
    }
    if (unheard.empty() || service_.env().now() >= end) co_return unheard;
    waiting = std::move(unheard);
    co_await service_.env().executor().sleep(20ms);
  }
}

// Before a directory begins to count.
Task<Result<void>> QuotaService::make_whole(Inode directory) {
  Result<Nothing> whole = Nothing();
  if (is_split(directory))
    whole = co_await service_.call_op(directory.id.shard(), GatherFragments(directory.id)).result();
  const bool has_entries = directory.size != 0 || (!whole && whole.error().code == Errc::not_empty);
  if (has_entries)
    co_return fail(Errc::not_empty,
                   "a directory begins to count when it is empty: make a new one, set its quota, and "
                   "move what is in this one there");
  if (!whole) co_return fail(whole.error());
  co_return Result<void>();
}

// Of a directory: what it is within, and whether it can begin to count.
Task<Result<RecordQuota>> QuotaService::record_of(SetQuota op) {
  RecordQuota record{op.subject, op.limits, {}};
  if (op.subject.kind != QuotaKind::directory) co_return record;
  const InodeId directory{op.subject.id};
  const InodeReply reply = co_await service_.call_op(directory.shard(), GetAttributes(directory));
  if (reply.inode.type != FileType::directory)
    co_return fail(Errc::not_directory, "only directories have quotas");
  const ShardId home = home_of(op.subject, service_.shard_count());
  record.within = reply.inode.quota_directory;
  if (record.within == directory)
    record.within = load_quota(service_.machine(home)->reader(), op.subject).within;
  else
    co_await make_whole(reply.inode);
  co_return record;
}

Task<Result<Buffer>> QuotaService::set_quota(ShardId shard, cluster::RequestId, Buffer body) {
  const SetQuota op = co_await wire::decode<SetQuota>(body);
  if (home_of(op.subject, service_.shard_count()) != shard)
    co_return fail(Errc::invalid_argument, "the limits of that subject are kept by another shard");
  const bool limited = op.limits.limits_bytes() || op.limits.limits_inodes();
  RecordQuota record = co_await record_of(op);
  const RecordQuota::Reply done = co_await service_.propose_op(shard, std::move(record));
  SetQuotaReply reply;
  reply.unheard = co_await await_heard(op.subject, limited, done.version);
  // What is in it may be in any shard, and each has to know whom else to charge.
  const InodeId directory{op.subject.id};
  if (op.subject.kind == QuotaKind::directory && limited && reply.unheard.empty())
    co_await service_.call_op(directory.shard(), MakeQuotaDirectory(directory));
  // What was granted under other limits.
  if (limited && reply.unheard.empty()) (void)co_await collect(op.subject).result();
  co_return wire::encode(reply);
}

Task<Result<Buffer>> QuotaService::quota_state(ShardId shard, cluster::RequestId, Buffer body) {
  const QuotaState op = co_await wire::decode<QuotaState>(body);
  co_await service_.barrier(shard);
  QuotaStateReply reply;
  reply.within = load_quota(service_.machine(shard)->reader(), op.subject).within;
  reply.limits = load_limit(service_.machine(shard)->reader(), op.subject).limits;
  if (reply.limits.limits_bytes() || reply.limits.limits_inodes())
    reply.use = co_await use_of_all(op.subject);
  co_return wire::encode(reply);
}

Task<Result<Buffer>> QuotaService::ask_quota(ShardId shard, cluster::RequestId, Buffer body) {
  const AskQuota op = co_await wire::decode<AskQuota>(body);
  const QuotaSubject subject = op.ask.subject;
  std::shared_ptr<runtime::Mutex> round = rounds_[subject].lock();
  if (round == nullptr)
    rounds_[subject] = round = std::make_shared<runtime::Mutex>(service_.env().executor());
  const auto turn = co_await round->lock();
  const auto granted = [&] { return load_limit(service_.machine(shard)->reader(), subject).granted; };
  GrantQuota::Reply reply;
  for (int attempt = 1;; ++attempt) {
    reply = co_await service_.propose_op(shard, op.ask);
    if (reply.granted || attempt > kRounds) break;
    CFS_PROBE(meta_quota_collected, "a limit is near: shards are asked for what they do not need of it");
    QuotaUse expected = granted();
    const QuotaUse coming = co_await collect(subject);
    if (coming.is_nothing()) break;
    // It comes in messages.
    expected += -coming;
    const auto has_come = [&](const QuotaUse& now) {
      return now.bytes <= expected.bytes && now.inodes <= expected.inodes;
    };
    const runtime::Instant end = service_.env().now() + kMovedWithin;
    while (!has_come(granted()) && service_.env().now() < end) co_await service_.env().executor().sleep(1ms);
  }
  if (round.use_count() == 1) rounds_.erase(subject);
  co_return wire::encode(reply);
}

Task<Result<Buffer>> QuotaService::return_quota(ShardId shard, cluster::RequestId id, Buffer body) {
  const ReturnQuota op = co_await wire::decode<ReturnQuota>(body);
  co_await service_.barrier(shard);
  if (unused_of(load_quota(service_.machine(shard)->reader(), op.subject)).is_nothing())
    co_return wire::encode(ReturnQuota::Reply{});
  co_return co_await service_.propose(shard, ReturnQuota::kKind, id, std::move(body)).result();
}

// Where nobody is limited nothing is proposed.
Task<Result<Buffer>> QuotaService::reserve_quota(ShardId shard, cluster::RequestId id, Buffer body) {
  const ReserveQuota op = co_await wire::decode<ReserveQuota>(body);
  if (!op.release) {
    co_await service_.barrier(shard);
    const ReadContext& state = service_.machine(shard)->reader();
    const Inode inode = co_await load_inode(state, op.inode);
    if (limited_in_bytes(state, charge_of(inode)).empty()) co_return wire::encode(ReserveQuotaReply{});
  }
  Result<Buffer> done = co_await service_.propose(shard, ReserveQuota::kKind, id, std::move(body)).result();
  if (done || done.error().code != Errc::quota_exceeded) co_return done;
  // From now on the session's commits to this inode are those of one that knows of the limit.
  ReserveQuota aware;
  aware.inode = op.inode;
  const cluster::RequestId unnumbered{id.session, 0, 0};
  co_await service_.propose(shard, ReserveQuota::kKind, unnumbered, wire::encode(aware));
  co_return done;
}

Task<void> QuotaService::watch_soft_limits(ShardId shard, Term) {
  for (;;) {
    co_await service_.env().executor().sleep(kWatchEvery);
    const ListLimitsReply limits = *read_limits(service_.machine(shard)->reader(), ListLimits{});
    for (const ListLimitsReply::Row& row : limits.rows)
      if (!row.limits.soft.is_nothing()) (void)co_await watch(shard, row).result();
  }
}

Task<Result<void>> QuotaService::watch(ShardId shard, ListLimitsReply::Row row) {
  const QuotaUse use = co_await use_of_all(row.subject);
  const QuotaUse& soft = row.limits.soft;
  const MarkSoft mark{row.subject, soft.bytes != 0 && use.bytes > soft.bytes,
                      soft.inodes != 0 && use.inodes > soft.inodes};
  const bool is_marked = (row.bytes_over_since != Hlc{}) == mark.bytes_over &&
                         (row.inodes_over_since != Hlc{}) == mark.inodes_over;
  if (!is_marked) co_await service_.propose_op(shard, mark);
  // What has been granted beyond it must not be used when the grace is over.
  const bool more_is_out = (mark.bytes_over && row.granted.bytes > use.bytes) ||
                           (mark.inodes_over && row.granted.inodes > use.inodes);
  if (more_is_out) co_await collect(row.subject);
  co_return Result<void>();
}

Task<Result<void>> obtain_quota(ShardService& service, ShardId shard, QuotaNeeds needs) {
  for (const QuotaNeeds::Need& need : needs.needs) {
    const ShardId home = home_of(need.subject, service.shard_count());
    AskQuota ask;
    ask.ask = {need.subject, shard, need.use};
    const Result<GrantQuota::Reply> reply = co_await service.call_op(home, std::move(ask)).result();
    if (!reply) co_return fail(Errc::busy, "a quota cannot be asked for: " + reply.error().text);
    if (!reply->granted) co_return fail(Errc::quota_exceeded, reply->why_not);
    const auto held = [&] { return load_quota(service.machine(shard)->reader(), need.subject); };
    const QuotaRecord before = held();
    const runtime::Instant end = service.env().now() + kMovedWithin;
    // It comes in a message, and may have come already.
    while (service.env().now() < end) {
      const QuotaRecord now = held();
      const QuotaUse unused = unused_of(now);
      const bool enough = (!now.bytes_limited || unused.bytes >= need.use.bytes) &&
                          (!now.inodes_limited || unused.inodes >= need.use.inodes);
      if (enough || now.allowed != before.allowed) break;
      co_await service.env().executor().sleep(1ms);
    }
  }
  co_return Result<void>();
}

}  // namespace claudefs::meta
