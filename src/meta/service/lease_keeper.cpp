#include "meta/service/lease_keeper.h"

#include "base/log.h"
#include "base/mutant.h"
#include "base/probe.h"
#include "meta/detail/keys.h"
#include "meta/detail/records.h"
#include "meta/detail/volumes.h"
#include "meta/session_volume.h"

CFS_DEFINE_MUTANT(recall_not_awaited, "meta: a change does not wait for the leases that it recalls");
CFS_DEFINE_MUTANT(overdue_leases_prolonged,
                  "meta: who owes an answer to a recall trusts its leases when it is fenced");
CFS_DEFINE_MUTANT(fenced_waits_for_leases,
                  "meta: a request of a fenced session waits for the leases of others");
CFS_DEFINE_MUTANT(new_leader_does_not_wait, "meta: a new leader serves before old leases are known or over");

namespace claudefs::meta {
namespace {

using namespace std::chrono_literals;
constexpr runtime::Duration kAdmitWithin = 1500ms;  // below the routers' limit for one attempt
constexpr runtime::Duration kRecallAgain = 1s;
constexpr runtime::Duration kWatchEvery = 500ms;
constexpr runtime::Duration kStoodStill = 2s;  // between two rounds of the watch

}  // namespace

LeaseKeeper::Guard::Guard(LedPtr led, SessionId session, std::vector<InodeId> changes)
    : led_(std::move(led)), session_(session), changes_(std::move(changes)) {
  for (const InodeId inode : changes_) led_->table.begin_change(inode, session_);
}
LeaseKeeper::Guard& LeaseKeeper::Guard::operator=(Guard&& other) noexcept {
  if (this != &other) {
    release();
    led_ = std::move(other.led_);
    session_ = other.session_;
    changes_ = std::move(other.changes_);
  }
  return *this;
}
void LeaseKeeper::Guard::release() {
  if (led_ == nullptr) return;
  for (const InodeId inode : changes_) led_->table.end_change(inode, session_);
  led_.reset();
}

LeaseKeeper::LeaseKeeper(ShardService& service, raft::Host& raft, net::MethodTable& methods)
    : service_(service), raft_(raft), env_(service.env()), scope_(service.env().executor()) {
  methods.add(KeepAlive::kMethod, [this](net::Request request) { return keep_alive(std::move(request)); });
}

void LeaseKeeper::start() {
  awake_since_ = env_.now();
  scope_.spawn(watch_sessions());
}

LedPtr LeaseKeeper::led(ShardId shard) const {
  const auto at = led_.find(shard);
  return at == led_.end() ? nullptr : at->second;
}

void LeaseKeeper::begin_leading(ShardId shard, Term term) {
  end_leading(shard);
  const auto led = std::make_shared<LedShard>(shard, term, env_.now(), env_.executor());
  const ReadContext& state = service_.machine(shard)->reader();
  const std::string sessions = key_of_table(Table::session);
  state.scan(sessions, sessions, [&](std::string_view key, std::string_view value) {
    const Result<SessionRecord> record = wire::decode<SessionRecord>(as_bytes(value));
    CFS_CHECK(record.has_value());
    if (record->attached) led->attached.insert(SessionId{number_in(key, sessions.size())});
    return true;
  });
  if (!CFS_MUTANT(new_leader_does_not_wait)) led->unreclaimed = led->attached;
  led_[shard] = led;
  for (const SessionId session : led->unreclaimed)
    scope_.spawn(push(session, LeaderChanged::kMethod, wire::encode(LeaderChanged{})));
}

void LeaseKeeper::end_leading(ShardId shard) {
  const auto at = led_.find(shard);
  if (at == led_.end()) return;
  at->second->over = true;
  at->second->changed.notify_all();
  led_.erase(at);
}

runtime::Task<void> LeaseKeeper::push(SessionId session, u16 method, Buffer body) {
  const auto heard = heard_.find(session);
  if (heard == heard_.end()) co_return;
  if (const std::shared_ptr<net::Channel> channel = heard->second.channel.lock())
    (void)co_await channel->call(method, std::move(body), {}, 2s);
}

// Admission ------------------------------------------------------------------------------------------------

bool LeaseKeeper::free_for(const LedShard& led, SessionId session, const Claims& claims) const {
  for (const InodeId inode : claims.changes) {
    // Whose own lease is being recalled must be able to flush.
    if (led.table.mode_of(inode, session) == LeaseMode::write) continue;
    if (!led.table.in_the_way(inode, session, true).empty()) return false;
  }
  for (const InodeId inode : claims.reads)
    if (!led.table.in_the_way(inode, session, false).empty()) return false;
  return true;
}

runtime::Task<Result<LeaseKeeper::Guard>> LeaseKeeper::admit(ShardId shard, SessionId session,
                                                             Claims claims) {
  const LedPtr led = this->led(shard);
  if (led == nullptr)
    co_return fail(Errc::not_leader, fmt::format("this node does not lead shard {}", shard));
  const runtime::Instant deadline = env_.now() + kAdmitWithin;
  Guard guard(led, session, claims.changes);
  const auto holds_what_it_changes = [&] {
    if (claims.changes.empty()) return false;
    for (const InodeId inode : claims.changes)
      if (led->table.mode_of(inode, session) != LeaseMode::write) return false;
    return true;
  };
  while (!led->over && !led->unreclaimed.empty() && !holds_what_it_changes()) {
    CFS_PROBE(meta_leases_awaited, "a new leader waits for the leases that its forerunner gave");
    if (!co_await led->changed.wait_until(deadline))
      co_return fail(Errc::unavailable,
                     fmt::format("shard {} waits for the leases of its former leader", shard));
  }
  for (;;) {
    if (led->over) co_return fail(Errc::not_leader, fmt::format("shard {} has another leader", shard));
    if (free_for(*led, session, claims)) co_return std::move(guard);
    if (is_fenced(shard, session)) {
      // Waits for nobody: the one who holds the lease may be the same client, which waits for this. A change
      // is refused, or answered as it was, where it is applied.
      if (!claims.changes.empty()) co_return std::move(guard);
      co_return fail(Errc::fenced, fmt::format("session {} has expired", session));
    }
    for (const InodeId inode : claims.changes) {
      if (led->table.mode_of(inode, session) == LeaseMode::write) continue;
      for (const SessionId other : led->table.in_the_way(inode, session, true))
        start_recall(led, inode, other, false);
    }
    for (const InodeId inode : claims.reads)
      for (const SessionId other : led->table.in_the_way(inode, session, false))
        start_recall(led, inode, other, true);
    if (CFS_MUTANT(recall_not_awaited) && !claims.changes.empty()) co_return std::move(guard);
    if (!co_await led->changed.wait_until(deadline))
      co_return fail(Errc::unavailable, "another client has not given its lease back yet");
  }
}

bool LeaseKeeper::is_fenced(ShardId shard, SessionId session) const {
  if (session == SessionId{} || CFS_MUTANT(fenced_waits_for_leases)) return false;
  const auto record = service_.machine(shard)->reader().load<SessionRecord>(session_key(session));
  return record && record->fenced;
}

bool LeaseKeeper::may_show(const LedShard& led, SessionId session, InodeId inode) const {
  return led.table.in_the_way(inode, session, false).empty();
}

void LeaseKeeper::grant(LedShard& led, SessionId session, const std::vector<InodeId>& inodes, bool write,
                        cluster::LeaseGrants* out) {
  if (led.over || out == nullptr || !led.attached.contains(session) || led.unreclaimed.contains(session) ||
      led.fencing.contains(session))
    return;
  out->term = led.term;
  out->sequence = ++led.sequence;
  for (std::size_t i = 0; i < inodes.size(); ++i) {
    if (inodes[i].shard() != led.shard) continue;
    const LeaseMode wanted = write && i + 1 == inodes.size() ? LeaseMode::write : LeaseMode::read;
    const LeaseMode got = led.table.grant(inodes[i], session, wanted, out->sequence);
    if (got != LeaseMode::none) out->leases.push_back({inodes[i], got});
  }
}

// Recalling ------------------------------------------------------------------------------------------------

void LeaseKeeper::start_recall(const LedPtr& led, InodeId inode, SessionId holder, bool keep_read) {
  if (led->table.is_recalled(inode, holder)) return;  // a weaker one under way is followed by this one
  led->table.begin_recall(inode, holder);
  scope_.spawn(recall(led, inode, holder, keep_read));
}

runtime::Task<void> LeaseKeeper::recall(LedPtr led, InodeId inode, SessionId holder, bool keep_read) {
  const runtime::Instant began = env_.now();
  const LeaseMode to = keep_read ? LeaseMode::read : LeaseMode::none;
  const Buffer body = wire::encode(Recall{holder, inode, ++led->sequence, led->term, keep_read});
  bool is_overdue = false;
  while (!led->over && led->table.mode_of(inode, holder) > to) {
    if (is_silent(*led, holder)) {
      CFS_PROBE(meta_fenced_by_recall, "the holder of a recalled lease is silent and is fenced");
      co_await fence(led, holder, "it did not answer a recall and is silent");
    } else if (env_.now() - began > kRecallAnswered) {
      CFS_PROBE(meta_fenced_too_slow, "a living client does not give a lease back in time and is fenced");
      co_await fence(led, holder, "it did not answer a recall in time");
    }
    if (led->over || led->table.mode_of(inode, holder) <= to) break;
    // When it is fenced it must not trust anything any more.
    if (!is_overdue && env_.now() - began > kRecallAnswered - kSessionSilent &&
        !CFS_MUTANT(overdue_leases_prolonged)) {
      is_overdue = true;
      ++led->overdue[holder];
    }
    const auto heard = heard_.find(holder);
    const std::shared_ptr<net::Channel> channel =
        heard == heard_.end() ? nullptr : heard->second.channel.lock();
    Result<net::Reply> answer = fail(Errc::unavailable);
    if (channel != nullptr) answer = co_await channel->call(Recall::kMethod, body, {}, kRecallAgain);
    if (answer) {
      led->table.reduce(inode, holder, to);
      break;
    }
    if (answer.error().code != Errc::timed_out) co_await env_.executor().sleep(100ms);
  }
  if (is_overdue && --led->overdue[holder] == 0) led->overdue.erase(holder);
  led->table.end_recall(inode, holder);
  led->changed.notify_all();
}

// Sessions -------------------------------------------------------------------------------------------------

bool LeaseKeeper::is_silent(const LedShard& led, SessionId session) const {
  runtime::Instant last = std::max(led.since, awake_since_);
  if (const auto heard = heard_.find(session); heard != heard_.end()) last = std::max(last, heard->second.at);
  return env_.now() - last > kSessionSilent;
}

void LeaseKeeper::forget_session(LedShard& led, SessionId session) {
  led.attached.erase(session);
  led.unreclaimed.erase(session);
  led.table.drop_session(session);
  lock_released_all(led);
  led.changed.notify_all();
}

runtime::Task<void> LeaseKeeper::fence(LedPtr led, SessionId session, std::string_view why) {
  if (led->over || !led->fencing.insert(session).second) {
    co_await env_.executor().sleep(50ms);
    co_return;
  }
  const Result<Nothing> done = co_await service_.propose_op(led->shard, FenceSession{session}).result();
  led->fencing.erase(session);
  if (!done) {
    co_await env_.executor().sleep(100ms);
    co_return;
  }
  log::warn("meta", "a session is fenced: its locks and leases go to others",
            {log::kv("session", session), log::kv("shard", led->shard), log::kv("why", why)});
  CFS_PROBE(meta_session_fenced, "a session is fenced");
  forget_session(*led, session);
}

runtime::Task<void> LeaseKeeper::watch_sessions() {
  runtime::Instant last = env_.now();
  for (;;) {
    co_await env_.executor().sleep(kWatchEvery);
    const runtime::Instant now = env_.now();
    // After standing still, what clients sent meanwhile has not been read yet.
    if (now - last > kStoodStill) awake_since_ = now;
    last = now;
    std::vector<std::pair<LedPtr, SessionId>> silent;
    for (const auto& [shard, led] : led_)
      for (const SessionId session : led->attached) {
        const bool too_late = led->unreclaimed.contains(session) && now - led->since > kSessionSilent;
        if (is_silent(*led, session) || too_late) silent.emplace_back(led, session);
      }
    // Who was heard of so long ago is silent like one that was never heard of.
    std::erase_if(heard_, [&](const auto& entry) { return now - entry.second.at > kSessionSilent; });
    for (const auto& [led, session] : silent)
      if (!led->fencing.contains(session)) scope_.spawn(fence(led, session, "it is silent"));
  }
}

runtime::Task<Result<net::Reply>> LeaseKeeper::keep_alive(net::Request request) {
  const KeepAlive message = co_await wire::decode<KeepAlive>(request.body);
  const SessionId session = message.session;
  Heard& heard = heard_[session];
  heard.at = env_.now();
  heard.channel = request.channel;
  for (const KeepAlive::Release& release : message.released)
    if (const LedPtr led = this->led(release.inode.shard()); led != nullptr && led->term == release.term)
      led->table.release(release.inode, session, release.sequence);
  KeepAliveReply reply;
  std::vector<LedPtr> all;
  for (const auto& [shard, led] : led_) all.push_back(led);
  for (const LedPtr& led : all) {
    // A silent group stays silent: leases that nobody has used for so long run out.
    if (raft_.status(led->shard).quiescent && !led->unreclaimed.contains(session)) continue;
    // Only a leader that is one now may prolong leases.
    bool leads = raft_.holds_lease(led->shard);
    if (!leads) leads = (co_await raft_.read_barrier(led->shard).result()).has_value();
    if (!leads) continue;
    if (led->over) continue;
    const ReadContext& state = service_.machine(led->shard)->reader();
    const auto record = state.load<SessionRecord>(session_key(session)).value_or(SessionRecord{});
    reply.fenced |= record.fenced;
    if (!record.attached || led->fencing.contains(session) || led->overdue.contains(session)) continue;
    const auto limited = state.load<LimitedRecord>(limited_key()).value_or(LimitedRecord{});
    reply.shards.push_back({led->shard, led->term, led->unreclaimed.contains(session), limited.changed});
  }
  // Any replica of shard 0 will do: the client hears it from whoever hears it first.
  if (const ShardMachine* records = service_.machine(ShardId{0})) {
    reply.volume_deleted = is_deleted(records->reader(), volume_of(session));
    reply.volume_version = load_volume(records->reader(), volume_of(session)).value_or(Volume{}).version;
  }
  co_return net::Reply{wire::encode(reply), {}};
}

runtime::Task<Result<Buffer>> LeaseKeeper::attach(cluster::ShardRequest request) {
  const AttachSession op = co_await wire::decode<AttachSession>(request.body);
  if (const auto heard = heard_.find(op.session); heard == heard_.end()) heard_[op.session].at = env_.now();
  Buffer reply = co_await service_.propose(request.shard, request.kind, {}, request.body);
  if (const LedPtr led = this->led(request.shard)) led->attached.insert(op.session);
  co_return reply;
}

runtime::Task<Result<Buffer>> LeaseKeeper::detach(cluster::ShardRequest request) {
  const FenceSession op = co_await wire::decode<FenceSession>(request.body);
  Buffer reply = co_await service_.propose(request.shard, request.kind, {}, request.body);
  if (const LedPtr led = this->led(request.shard)) forget_session(*led, op.session);
  co_return reply;
}

runtime::Task<Result<Buffer>> LeaseKeeper::reclaim(cluster::ShardRequest request) {
  const ReclaimLeases op = co_await wire::decode<ReclaimLeases>(request.body);
  co_await raft_.read_barrier(request.shard);
  const LedPtr led = this->led(request.shard);
  if (led == nullptr || led->term != op.term)
    co_return fail(Errc::not_leader,
                   fmt::format("this node does not lead shard {} in that term", request.shard));
  if (!led->attached.contains(op.session))
    co_return fail(Errc::fenced, fmt::format("session {} has expired", op.session));
  if (led->unreclaimed.contains(op.session)) {
    ++led->sequence;
    for (const cluster::LeaseGrant& lease : op.leases)
      led->table.restore(lease.inode, op.session, lease.mode, led->sequence);
    if (op.last) led->unreclaimed.erase(op.session);
    led->changed.notify_all();
  }
  co_return wire::encode(Nothing{});
}

// What it answers itself -----------------------------------------------------------------------------------

bool LeaseKeeper::serves(u16 kind) {
  return kind == AttachSession::kKind || kind == FenceSession::kKind || kind == AcquireLease::kKind ||
         kind == ReclaimLeases::kKind || kind == SetLock::kKind || kind == WaitForLock::kKind;
}

runtime::Task<Result<Buffer>> LeaseKeeper::serve(cluster::ShardRequest request,
                                                 cluster::LeaseGrants* grants) {
  switch (request.kind) {
    case AttachSession::kKind:
      return attach(std::move(request));
    case FenceSession::kKind:
      return detach(std::move(request));
    case AcquireLease::kKind:
      return acquire(std::move(request), grants);
    case ReclaimLeases::kKind:
      return reclaim(std::move(request));
    case SetLock::kKind:
      return set_lock(std::move(request));
    default:
      return wait_for_lock(std::move(request));
  }
}

runtime::Task<Result<Buffer>> LeaseKeeper::acquire(cluster::ShardRequest request,
                                                   cluster::LeaseGrants* grants) {
  const AcquireLease op = co_await wire::decode<AcquireLease>(request.body);
  const SessionId session = request.id.session;
  co_await raft_.read_barrier(request.shard);
  const std::vector<InodeId> named(1, op.inode);
  co_await check_volume(service_.machine(request.shard)->reader(), session, named);
  Claims claims;
  if (op.write && !op.only_if_free)
    claims.changes.push_back(op.inode);
  else
    claims.reads.push_back(op.inode);
  Guard guard = co_await admit(request.shard, session, claims);
  const LedPtr led = guard.led();
  Buffer reply =
      co_await service_.machine(request.shard)
          ->query(GetAttributes::kKind, wire::encode(GetAttributes{op.inode, op.access, op.caller}));
  grant(*led, session, {op.inode}, op.write, grants);
  co_return reply;
}

// Locks ----------------------------------------------------------------------------------------------------

void LeaseKeeper::lock_released(LedShard& led, InodeId inode) {
  const auto at = led.lock_waiters.find(inode);
  if (at == led.lock_waiters.end()) return;
  for (const SessionId session : at->second)
    scope_.spawn(push(session, LockReleased::kMethod, wire::encode(LockReleased{inode})));
  led.lock_waiters.erase(at);
}

void LeaseKeeper::lock_released_all(LedShard& led) {
  std::vector<InodeId> inodes;
  for (const auto& [inode, sessions] : led.lock_waiters) inodes.push_back(inode);
  for (const InodeId inode : inodes) lock_released(led, inode);
}

runtime::Task<Result<Buffer>> LeaseKeeper::set_lock(cluster::ShardRequest request) {
  const SetLock op = co_await wire::decode<SetLock>(request.body);
  const LedPtr led = this->led(request.shard);
  if (led == nullptr) co_return fail(Errc::not_leader);
  // Before the look: what is released from now on is told.
  if (op.waits) led->lock_waiters[op.inode].insert(op.lock.session);
  if (!op.unlock) {
    // Nothing to propose while somebody is in the way.
    co_await raft_.read_barrier(request.shard);
    const TestLock test{op.inode, op.lock};
    Buffer tested = co_await service_.machine(request.shard)->query(TestLock::kKind, wire::encode(test));
    const SetLockReply seen = co_await wire::decode<SetLockReply>(tested);
    if (!seen.in_the_way.empty()) co_return tested;
  }
  Buffer reply = co_await service_.propose(request.shard, request.kind, request.id, request.body);
  // A lock that was made smaller or weaker also lets others in.
  lock_released(*led, op.inode);
  co_return reply;
}

runtime::Task<Result<Buffer>> LeaseKeeper::wait_for_lock(cluster::ShardRequest request) {
  WaitForLock op = co_await wire::decode<WaitForLock>(request.body);
  const bool circle = waits_.wait(op.waiter, std::move(op.holders), env_.now());
  co_return wire::encode(WaitForLockReply{circle});
}

}  // namespace claudefs::meta
