#include "meta/tests/cluster.h"

#include "meta/detail/keys.h"

namespace claudefs::meta::testing {
namespace {

using namespace std::chrono_literals;

class FakeHost final : public raft::Host {
 public:
  FakeHost(Cluster& cluster, Member& self) : cluster_(cluster), self_(self) {}
  Result<void> add_group(ShardId group, std::vector<NodeId>, raft::StateMachine& machine) override {
    self_.machines[group] = &machine;
    return {};
  }
  void start() override {}
  runtime::Task<Result<Buffer>> propose(ShardId group, Buffer command) override {
    co_await cluster_.env.executor().sleep(runtime::Duration(cluster_.random.between(10'000, 2'000'000)));
    if (!status(group).leader) co_return fail(Errc::not_leader);
    cluster_.append(group, std::move(command));
    std::vector<Buffer> replies;
    for (auto& member : cluster_.members)
      cluster_.apply_all(group, *member, member.get() == &self_ ? &replies : nullptr);
    Buffer reply = replies.back();
    co_await cluster_.env.executor().sleep(runtime::Duration(cluster_.random.between(10'000, 2'000'000)));
    if (!status(group).leader) co_return fail(Errc::unavailable, "leadership was lost");
    co_return reply;
  }
  runtime::Task<Result<void>> read_barrier(ShardId group) override {
    if (!status(group).leader) co_return fail(Errc::not_leader);
    if (cluster_.unconfirmed.contains(group))
      co_return fail(Errc::unavailable, "no quorum confirmed the read");
    co_return Result<void>();
  }
  bool holds_lease(ShardId group) const override { return status(group).leader; }
  raft::GroupStatus status(ShardId group) const override {
    raft::GroupStatus out;
    out.group = group;
    out.leader = self_.up() && cluster_.leader.at(group) == self_.number;
    return out;
  }
  std::vector<ShardId> groups() const override { return {}; }
  u64 log_bytes() const override { return 0; }
  runtime::Task<Result<void>> transfer_leadership(ShardId, NodeId) override {
    co_return fail(Errc::unsupported);
  }
  runtime::Task<void> stop() override { co_return; }

 private:
  Cluster& cluster_;
  Member& self_;
};

class FakeRouter final : public cluster::Router {
 public:
  explicit FakeRouter(Cluster& cluster) : cluster_(cluster) {}
  runtime::Task<Result<void>> refresh() override { co_return Result<void>(); }
  const cluster::ClusterMap& map() const override { return map_; }
  u16 shard_count() const override { return cluster_.shard_count(); }
  std::string address_of(NodeId) const override { return {}; }
  runtime::Task<Result<Buffer>> call_raw(ShardId shard, u16 kind, cluster::RequestId id,
                                         Buffer body) override {
    return cluster_.request(shard, kind, id, std::move(body));
  }

 private:
  Cluster& cluster_;
  cluster::ClusterMap map_;
};

using Answer = std::shared_ptr<runtime::Promised<cluster::ShardReply>>;
runtime::Task<void> answer_into(ShardService* service, cluster::ShardRequest request, Answer answer) {
  answer->set(co_await service->execute(std::move(request)));
}

}  // namespace

Cluster::Cluster(u64 seed, u16 shard_count, std::size_t count, SplitPolicy policy)
    : world(seed),
      env(world.add_node("all")),
      random(seed, "cluster"),
      split(std::move(policy)),
      shard_count_(shard_count) {
  for (u16 shard = 0; shard < shard_count; ++shard) leader[ShardId{shard}] = shard % count;
  for (std::size_t i = 0; i < count; ++i) {
    members.push_back(std::make_unique<Member>());
    members[i]->number = i;
    register_namespace(members[i]->table);
    members[i]->table.add_command(ChunkDeltas::kKind, [](ApplyContext&, const Buffer&) -> Result<Buffer> {
      return wire::encode(Nothing{});
    });
  }
  for (std::size_t i = 0; i < count; ++i) restart(i);
  run_for(1s);
}

Cluster::~Cluster() {
  for (auto& member : members) {
    member->calls.reset();
    member->service.reset();
  }
}

void Cluster::restart(std::size_t number) {
  Member& member = *members[number];
  member.methods = {};
  member.host = std::make_unique<FakeHost>(*this, member);
  member.router = std::make_unique<FakeRouter>(*this);
  member.calls = std::make_unique<runtime::Scope>(env.executor());
  member.service = ShardService::create(
      {env, *member.host, *member.router, member.methods, member.kv, member.table}, shard_count_);
  register_namespace(*member.service, TrashPolicy{keep_trash, [this] { return space_is_short; }}, split);
  for (auto& [shard, at] : leader) {
    CFS_CHECK(member.service->add_shard(shard, {}).has_value());
    apply_all(shard, member);
  }
  member.service->start();
  for (auto& [shard, at] : leader)
    if (at == number) lead(shard, number);
}

void Cluster::crash(std::size_t number) {
  Member& member = *members[number];
  member.calls.reset();
  member.service.reset();
  member.machines.clear();
  member.kv.crash(random);
  for (auto& [shard, at] : leader)
    if (at == number) lead(shard, any_up());
}

std::size_t Cluster::any_up() {
  std::vector<std::size_t> up;
  for (const auto& member : members)
    if (member->up()) up.push_back(member->number);
  return up[random.between(0, up.size() - 1)];
}

void Cluster::lead(ShardId shard, std::size_t number) {
  if (Member& old = *members[leader[shard]]; old.up())
    old.machines.at(shard)->on_leadership(false, term[shard]);
  leader[shard] = number;
  ++term[shard];
  append(shard, {});
  for (auto& member : members) apply_all(shard, *member);
  members[number]->machines.at(shard)->on_leadership(true, term[shard]);
}

void Cluster::move_leader(ShardId shard) { lead(shard, any_up()); }

void Cluster::append(ShardId shard, Buffer command) {
  log[shard].push_back({LogIndex{log[shard].size() + 1}, term[shard], std::move(command)});
}

void Cluster::apply_all(ShardId shard, Member& member, std::vector<Buffer>* replies) {
  const auto at = member.machines.find(shard);
  if (at == member.machines.end()) return;
  const auto& entries = log[shard];
  const auto from = entries.begin() + static_cast<long>(at->second->applied().value);
  std::vector<Buffer> out = at->second->apply({from, entries.end()});
  if (replies != nullptr) *replies = std::move(out);
}

void Cluster::disturb(runtime::Duration every) {
  if (!std::exchange(disturbing_, true)) disturb_once(every);
}
void Cluster::disturb_once(runtime::Duration every) {
  world.after(runtime::Duration(random.between(1, 2 * static_cast<u64>(every.count()))), [this, every] {
    if (!disturbing_) return;
    ++disturbances;
    std::size_t up = 0;
    for (const auto& member : members) up += member->up();
    const u64 dice = random.between(0, 9);
    const std::size_t number = random.between(0, members.size() - 1);
    if (dice < 5)
      move_leader(ShardId{static_cast<u16>(random.between(0, shard_count_ - 1))});
    else if (!members[number]->up())
      restart(number);
    else if (up > 1 && dice < 8)
      crash(number);
    disturb_once(every);
  });
}
void Cluster::calm() {
  disturbing_ = false;
  for (std::size_t i = 0; i < members.size(); ++i)
    if (!members[i]->up()) restart(i);
}

runtime::Task<Result<Buffer>> Cluster::request(ShardId shard, u16 kind, cluster::RequestId id, Buffer body) {
  const runtime::Instant give_up = env.now() + 120s;
  for (;;) {
    Member& member = *members[leader[shard]];
    cluster::ShardRequest message;
    message.shard = shard;
    message.kind = kind;
    message.id = id;
    message.body = body;
    const auto answer = std::make_shared<runtime::Promised<cluster::ShardReply>>(env.executor());
    if (member.up()) member.calls->spawn(answer_into(member.service.get(), std::move(message), answer));
    std::optional<cluster::ShardReply> reply = co_await answer->wait_until(env.now() + 3s);
    if (reply && reply->code == Errc::ok) co_return std::move(reply->body);
    if (reply && !is_retryable(reply->code)) co_return fail(reply->code, std::move(reply->text));
    if (env.now() > give_up) co_return fail(Errc::timed_out, reply ? reply->text : "no answer");
    co_await env.executor().sleep(5ms);
  }
}

Result<Buffer> Cluster::call_raw(ShardId shard, u16 kind, Buffer body) {
  ++sequence_;
  return sim::run(world, env, request(shard, kind, {SessionId{9}, sequence_, sequence_}, std::move(body)))
      .value();
}

std::size_t Cluster::loose_ends() {
  std::size_t count = 0;
  for (const auto& [shard, at] : leader)
    for (const Table table : {Table::lock, Table::prepared, Table::decision, Table::outbox})
      state(shard).scan(key_of_table(table), "", [&](std::string_view, std::string_view) {
        ++count;
        return true;
      });
  return count;
}

}  // namespace claudefs::meta::testing
