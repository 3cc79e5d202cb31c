#include "meta/service/service.h"

#include <algorithm>

#include "base/log.h"
#include "base/mutant.h"
#include "base/probe.h"
#include "meta/hlc.h"
#include "meta/operations.h"
#include "meta/service/quota_service.h"

namespace claudefs::meta {

CFS_DEFINE_MUTANT(meta_query_without_barrier,
                  "meta: a query is answered from whatever state the replica has");
CFS_DEFINE_MUTANT(meta_any_replica_answers, "meta: a query is answered by replicas that do not lead");
namespace {

using namespace std::chrono_literals;
constexpr runtime::Duration kBusyPatience = 1s;  // how long a request waits for a transaction to end
constexpr runtime::Duration kCheckpointEvery = 10s;
constexpr int kQuotaAttempts = 4;  // others may take what was asked for

cluster::ShardReply reply_of(Result<Buffer> result) {
  if (result) return {Errc::ok, {}, {}, std::move(*result)};
  return {result.error().code, std::move(result.error().text), {}, {}};
}

// A listing does not wait for every writer in it: their inodes are left out, and asked for by themselves.
Result<Buffer> without_what_others_write(const LeaseKeeper& leases, const LedShard& led, SessionId session,
                                         Buffer encoded) {
  TRY_ASSIGN(ReadDirectoryReply reply, wire::decode<ReadDirectoryReply>(encoded));
  bool changed = false;
  for (ReadDirectoryReply::Entry& entry : reply.entries)
    if (entry.inode && !leases.may_show(led, session, entry.inode->id)) {
      entry.inode.reset();
      changed = true;
    }
  return changed ? wire::encode(reply) : std::move(encoded);
}

Result<Buffer> result_of(cluster::ShardReply reply) {
  if (reply.code != Errc::ok) return fail(reply.code, std::move(reply.text));
  return std::move(reply.body);
}

}  // namespace

// A request under way. A copy of it that arrives meanwhile waits for the same answer.
struct Service::InFlight {
  explicit InFlight(runtime::Executor& executor) : done(executor) {}
  runtime::Event done;
  Term admitted{};  // in which the leases in its way were recalled
  cluster::ShardReply reply{Errc::unavailable, "the first copy of this request was given up", {}, {}};
};
class Service::InFlightGuard {
 public:
  InFlightGuard(Service& service, InFlightKey key) : service_(service), key_(key) {
    entry = service_.in_flight_.emplace(key, std::make_shared<InFlight>(service.parts_.env.executor()))
                .first->second;
  }
  InFlightGuard(const InFlightGuard&) = delete;
  InFlightGuard& operator=(const InFlightGuard&) = delete;
  ~InFlightGuard() {
    entry->done.set();
    service_.in_flight_.erase(key_);
  }
  std::shared_ptr<InFlight> entry;

 private:
  Service& service_;
  InFlightKey key_;
};

std::unique_ptr<ShardService> ShardService::create(Parts parts, u16 shard_count) {
  return std::make_unique<Service>(parts, shard_count);
}

Service::Service(Parts parts, u16 shard_count)
    : parts_(parts),
      shard_count_(shard_count),
      leases_(*this, parts.raft, parts.methods),
      scope_(parts.env.executor()) {
  parts_.methods.add(cluster::ShardRequest::kMethod, [this](net::Request request) {
    return [](Service* self, net::Request asked) -> runtime::Task<Result<net::Reply>> {
      cluster::ShardRequest message = co_await wire::decode<cluster::ShardRequest>(asked.body);
      const cluster::ShardReply reply = co_await self->execute(std::move(message));
      co_return net::Reply{wire::encode(reply), {}};
    }(this, std::move(request));
  });
}

Result<void> Service::add_shard(ShardId shard, std::vector<NodeId> members) {
  TRY_ASSIGN(auto machine, ShardMachine::open(parts_.kv, parts_.table, shard, shard_count_));
  auto hosted = std::make_unique<HostedShard>(shard, std::move(machine), parts_.env.executor());
  HostedShard* at = hosted.get();
  at->machine->set_leadership_listener([this, at](bool leader, Term term) {
    if (leader)
      leases_.begin_leading(at->id, term);
    else
      leases_.end_leading(at->id);
    at->leading = leader ? term : Term{};
    at->leadership_changed.notify_all();
  });
  at->machine->set_outbox_listener([at](bool soon) {
    at->outbox_dirty = true;
    at->outbox_urgent |= soon;
    at->outbox_grew.notify_all();
  });
  shards_[shard] = std::move(hosted);
  if (started_) scope_.spawn(supervise(at));
  return parts_.raft.add_group(shard, std::move(members), *at->machine);
}

void Service::start() {
  started_ = true;
  for (auto& [id, shard] : shards_) scope_.spawn(supervise(shard.get()));
  scope_.spawn(checkpoint_now_and_then());
  leases_.start();
}

// Tasks live exactly as long as the leadership. Destroyed from here, never from inside one of them.
runtime::Task<void> Service::supervise(HostedShard* shard) {
  Term running{};
  for (;;) {
    while (shard->leading == running) co_await shard->leadership_changed.wait();
    shard->tasks.reset();
    running = shard->leading;
    if (running == Term{}) continue;
    shard->tasks = std::make_unique<runtime::Scope>(parts_.env.executor());
    shard->tasks->spawn(pump_outbox(*this, *shard));
    for (LeaderTask& task : leader_tasks_) shard->tasks->spawn(task(shard->id, running));
  }
}

ShardMachine* Service::machine(ShardId shard) {
  const auto at = shards_.find(shard);
  return at == shards_.end() ? nullptr : at->second->machine.get();
}

bool Service::leads(ShardId shard) const {
  return shards_.contains(shard) && parts_.raft.status(shard).leader;
}

std::vector<ShardId> Service::led() const {
  std::vector<ShardId> out;
  for (const auto& [id, shard] : shards_)
    if (leads(id)) out.push_back(id);
  return out;
}

cluster::ShardReply Service::not_leader(ShardId shard) const {
  cluster::ShardReply reply{Errc::not_leader, fmt::format("this node does not lead shard {}", shard), {}, {}};
  if (shards_.contains(shard)) reply.leader_hint = parts_.raft.status(shard).leader_hint.value_or(NodeId{});
  return reply;
}

runtime::Task<cluster::ShardReply> Service::execute(cluster::ShardRequest request) {
  const bool stale_query = CFS_MUTANT(meta_any_replica_answers) && shards_.contains(request.shard) &&
                           parts_.table.find_query(request.kind) != nullptr;
  if (stale_query) co_return reply_of(shards_.at(request.shard)->machine->query(request.kind, request.body));
  if (!leads(request.shard)) co_return not_leader(request.shard);
  cluster::ShardReply reply = co_await execute_once(std::move(request));
  co_return reply;
}

runtime::Task<cluster::ShardReply> Service::execute_once(cluster::ShardRequest request) {
  if (request.id.sequence == 0) co_return co_await execute_patiently(std::move(request));
  if (std::optional<Outcome> before = shards_.at(request.shard)->machine->recorded(request.id)) {
    CFS_PROBE(meta_retry_answered, "a request that was executed before is answered from memory");
    co_return cluster::ShardReply{before->code, std::move(before->text), {}, std::move(before->body)};
  }
  const InFlightKey key{request.shard, request.id.session, request.id.sequence};
  if (const auto at = in_flight_.find(key); at != in_flight_.end()) {
    CFS_PROBE(meta_retry_joined, "a request that is under way is sent again");
    const std::shared_ptr<InFlight> first = at->second;
    co_await first->done.wait();
    co_return first->reply;
  }
  InFlightGuard guard(*this, key);
  guard.entry->reply = co_await execute_patiently(std::move(request));
  co_return guard.entry->reply;
}

runtime::Task<cluster::ShardReply> Service::execute_patiently(cluster::ShardRequest request) {
  const runtime::Instant give_up = parts_.env.now() + kBusyPatience;
  runtime::Duration pause = 2ms;
  const ShardId shard = request.shard;
  for (;;) {
    cluster::LeaseGrants grants;
    Result<Buffer> result = co_await attempt(request, &grants).result();
    if (!result && result.error().code == Errc::not_leader) co_return not_leader(shard);
    if (result || result.error().code != Errc::busy) {
      cluster::ShardReply reply = reply_of(std::move(result));
      reply.grants = std::move(grants);
      co_return reply;
    }
    if (parts_.env.now() >= give_up)
      co_return cluster::ShardReply{Errc::unavailable, std::move(result.error().text), {}, {}};
    co_await parts_.env.executor().sleep(pause +
                                         runtime::Duration(parts_.env.random().between(0, 2'000'000)));
    pause = std::min<runtime::Duration>(pause * 2, 50ms);
  }
}

runtime::Task<Result<Buffer>> Service::attempt(cluster::ShardRequest request, cluster::LeaseGrants* grants) {
  if (LeaseKeeper::serves(request.kind)) return leases_.serve(std::move(request), grants);
  if (parts_.table.find_query(request.kind) != nullptr) {
    if (request.id.session != SessionId{}) return query_covered(std::move(request), grants);
    return query(request.shard, request.kind, std::move(request.body));
  }
  Claims claims = claims_of(shards_.at(request.shard)->machine->reader(), request.kind, request.body);
  if (claims.covered) return execute_covered(std::move(request), std::move(claims), grants);
  if (const auto procedure = procedures_.find(request.kind); procedure != procedures_.end())
    return procedure->second(request.shard, request.id, std::move(request.body));
  return propose(request.shard, request.kind, request.id, std::move(request.body));
}

// What is applied after the barrier includes all that was acknowledged before the request came: whether this
// node still leads when it answers does not matter.
runtime::Task<Result<Buffer>> Service::query(ShardId shard, u16 kind, Buffer body) {
  if (!CFS_MUTANT(meta_query_without_barrier)) co_await parts_.raft.read_barrier(shard);
  co_return shards_.at(shard)->machine->query(kind, body);
}

// No lease of another session is left on what it changes when it is proposed.
runtime::Task<Result<Buffer>> Service::execute_covered(cluster::ShardRequest request, Claims claims,
                                                       cluster::LeaseGrants* grants) {
  co_await check_volume(shards_.at(request.shard)->machine->reader(), request.id.session, claims.named);
  const SessionId session = claims.session != SessionId{} ? claims.session : request.id.session;
  const LeaseKeeper::Guard guard = co_await leases_.admit(request.shard, session, claims);
  const auto in_flight = in_flight_.find({request.shard, request.id.session, request.id.sequence});
  if (in_flight != in_flight_.end()) in_flight->second->admitted = guard.led()->term;
  Result<Buffer> result;
  if (const auto procedure = procedures_.find(request.kind); procedure != procedures_.end())
    result = co_await procedure->second(request.shard, request.id, request.body).result();
  else
    result = co_await propose(request.shard, request.kind, request.id, request.body).result();
  if (!result) co_return result;
  if (change_listener_) change_listener_(request.shard, claims.changes);
  // Another request may have put something else behind the name meanwhile.
  Claims more;
  for (const InodeId inode : changed_by(request.kind, *result))
    if (inode.shard() == request.shard && std::ranges::find(claims.changes, inode) == claims.changes.end())
      more.changes.push_back(inode);
  if (!more.changes.empty()) (void)co_await leases_.admit(request.shard, session, std::move(more)).result();
  leases_.grant(*guard.led(), session, shown_by(request.kind, request.body, *result, true),
                request.kind == Create::kKind || request.kind == CreateUnnamed::kKind, grants);
  co_return result;
}

// What it shows is as the holder of a write lease left it, and leases on it come with the answer.
runtime::Task<Result<Buffer>> Service::query_covered(cluster::ShardRequest request,
                                                     cluster::LeaseGrants* grants) {
  if (!CFS_MUTANT(meta_query_without_barrier)) co_await parts_.raft.read_barrier(request.shard);
  ShardMachine& machine = *shards_.at(request.shard)->machine;
  const SessionId session = request.id.session;
  for (;;) {
    const Claims claims = claims_of(machine.reader(), request.kind, request.body);
    if (!claims.covered) co_return machine.query(request.kind, request.body);
    co_await check_volume(machine.reader(), session, claims.named);
    const LeaseKeeper::Guard guard = co_await leases_.admit(request.shard, session, claims);
    // From here to the grant nothing else runs.
    const Claims now = claims_of(machine.reader(), request.kind, request.body);
    if (!leases_.free_for(*guard.led(), session, now)) continue;
    Result<Buffer> result = machine.query(request.kind, request.body);
    if (result && request.kind == ReadDirectory::kKind)
      result = without_what_others_write(leases_, *guard.led(), session, std::move(*result));
    const bool absent = !result && result.error().code == Errc::not_found;
    if (result || absent)
      leases_.grant(*guard.led(), session,
                    shown_by(request.kind, request.body, result ? *result : Buffer(), result.has_value()),
                    false, grants);
    co_return result;
  }
}

runtime::Task<Result<Buffer>> Service::propose(ShardId shard, u16 kind, cluster::RequestId id, Buffer body) {
  const auto at = shards_.find(shard);
  if (at == shards_.end()) co_return fail(Errc::not_leader, fmt::format("shard {} is not here", shard));
  const ShardMachine& machine = *at->second->machine;
  for (int attempt = 1;; ++attempt) {
    // Leading again in a later term: others may have been granted leases in between.
    const auto in_flight = in_flight_.find({shard, id.session, id.sequence});
    if (in_flight != in_flight_.end() && in_flight->second->admitted != Term{} &&
        in_flight->second->admitted != at->second->leading)
      co_return fail(Errc::not_leader, fmt::format("shard {} has another leader", shard));
    const Hlc stamp = std::max(hlc_of(parts_.env.wall_now()), Hlc{machine.last_hlc().value + 1});
    const CommandEntry entry{kind, stamp, id, body};
    const Buffer reply = co_await parts_.raft.propose(shard, wire::encode(entry));
    Outcome outcome = co_await wire::decode<Outcome>(reply);
    if (outcome.code == Errc::ok) co_return std::move(outcome.body);
    if (outcome.code != Errc::quota_exceeded) co_return fail(outcome.code, std::move(outcome.text));
    if (attempt == kQuotaAttempts) co_return fail(Errc::busy, "others use what is granted of a quota");
    QuotaNeeds needs = co_await wire::decode<QuotaNeeds>(outcome.body);
    co_await obtain_quota(*this, shard, std::move(needs));
  }
}

runtime::Task<Result<Buffer>> Service::call(ShardId shard, u16 kind, Buffer body) {
  if (leads(shard)) {
    cluster::ShardRequest request;
    request.shard = shard;
    request.kind = kind;
    request.body = body;
    cluster::ShardReply reply = co_await execute(std::move(request));
    if (reply.code != Errc::not_leader) co_return result_of(std::move(reply));
  }
  co_return co_await parts_.router.call_raw(shard, kind, {}, std::move(body)).result();
}

runtime::Task<Result<void>> Service::checkpoint() {
  std::vector<std::pair<ShardMachine*, LogIndex>> reached;
  for (auto& [id, shard] : shards_)
    if (shard->machine->applied() != shard->machine->durable())
      reached.emplace_back(shard->machine.get(), shard->machine->applied());
  if (reached.empty()) co_return Result<void>();
  co_await parts_.kv.flush();
  for (const auto& [machine, index] : reached) machine->note_durable(index);
  co_return Result<void>();
}

runtime::Task<void> Service::checkpoint_now_and_then() {
  for (;;) {
    co_await parts_.env.executor().sleep(kCheckpointEvery);
    const Result<void> done = co_await checkpoint().result();
    if (done) continue;
    log::error("meta", "the metadata store did not flush", {log::kv("error", done.error().to_string())});
    if (done.error().code == Errc::no_space) continue;
    // What it cannot keep others must: they lead at once, and this node's log needs no more room.
    co_return parts_.raft.disk_failed(done.error());
  }
}

runtime::Task<void> Service::stop() {
  scope_.stop_accepting();
  for (auto& [id, shard] : shards_) {
    shard->machine->set_leadership_listener({});
    shard->machine->set_outbox_listener({});
    shard->tasks.reset();
  }
  const Result<void> done = co_await checkpoint().result();
  if (!done)
    log::error("meta", "the metadata store did not flush", {log::kv("error", done.error().to_string())});
}

}  // namespace claudefs::meta
