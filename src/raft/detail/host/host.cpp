// Opening, groups, status, stopping.
#include <algorithm>

#include <fmt/format.h>

#include "base/log.h"
#include "raft/detail/host/host_impl.h"

namespace claudefs::raft {

runtime::Task<Result<std::unique_ptr<Host>>> Host::open(runtime::Env& env, net::Client& client,
                                                        net::MethodTable& methods, HostOptions options,
                                                        std::function<std::string(NodeId)> address_of) {
  RaftLog::Options log_options;
  log_options.file_bytes = options.log_file_bytes;
  log_options.keep_bytes = options.log_keep_bytes;
  log_options.entry_bytes_max = options.proposal_bytes_max + 64;
  std::unique_ptr<RaftLog> log = co_await RaftLog::open(env, options.log_directory, log_options);
  const std::vector<std::string> names = co_await env.disk().list(options.log_directory);
  bool remembers = std::find(names.begin(), names.end(), kMemberFile) != names.end();
  if (!log->damage().empty()) {
    log::error("raft", "the log is damaged; what it lost is fetched from the other members",
               {log::kv("directory", options.log_directory), log::kv("damage", log->damage())});
    // In this order: a crash in between finds the damage again.
    if (remembers) co_await forget_membership(env, options.log_directory);
    remembers = false;
    co_await log->resume();
  }
  auto host = std::make_unique<HostImpl>(env, client, std::move(options), std::move(address_of),
                                         std::move(log), remembers);
  host->serve(methods);
  co_return std::unique_ptr<Host>(std::move(host));
}

HostImpl::HostImpl(runtime::Env& env, net::Client& client, HostOptions options,
                   std::function<std::string(NodeId)> address_of, std::unique_ptr<RaftLog> log,
                   bool remembers)
    : env_(env),
      client_(client),
      options_(std::move(options)),
      address_of_(std::move(address_of)),
      log_(std::move(log)),
      alive_(std::make_shared<HostImpl*>(this)),
      work_(env.executor()),
      write_work_(env.executor()),
      takes_part_(remembers),
      remembers_(remembers),
      boot_(env.random().next() | 1),
      watch_(options_.election_timeout),
      scope_(env.executor()) {}

HostImpl::~HostImpl() { *alive_ = nullptr; }

namespace {
template <class R>
runtime::Task<Result<net::TypedReply<R>>> gone() {
  co_return fail(Errc::unavailable, "raft has stopped on this node");
}
}  // namespace

void HostImpl::serve(net::MethodTable& methods) {
  methods.on<RaftMessages>([alive = alive_](RaftMessages batch, net::Request request) {
    return *alive == nullptr ? gone<net::Empty>()
                             : (*alive)->on_messages(std::move(batch), std::move(request));
  });
  methods.on<SnapshotPiece>([alive = alive_](SnapshotPiece piece, net::Request request) {
    return *alive == nullptr ? gone<SnapshotReply>()
                             : (*alive)->on_snapshot(std::move(piece), std::move(request));
  });
  methods.on<AskStand>([alive = alive_](AskStand, net::Request request) {
    return *alive == nullptr ? gone<StandReply>() : (*alive)->on_ask_stand(std::move(request));
  });
}

Result<void> HostImpl::add_group(ShardId id, std::vector<NodeId> initial_members, StateMachine& machine) {
  if (groups_.contains(id)) return fail(Errc::exists, fmt::format("group {} is already hosted", id));
  Recovered recovered;
  if (auto found = log_->find(id)) {
    recovered.hard_state = found->hard_state;
    recovered.log = std::move(found->log);
    recovered.configuration = std::move(found->start.configuration);
    recovered.changes = std::move(found->changes);
  }
  const bool is_known = !recovered.configuration.voters.empty() || recovered.log.start().value != 0;
  if (!is_known) recovered.configuration = Configuration::of(std::move(initial_members));
  recovered.applied = machine.applied();
  recovered.applied_term = machine.applied_term();

  CoreOptions core;
  core.group = id;
  core.self = options_.self;
  core.heartbeat = options_.heartbeat;
  core.election_timeout = options_.election_timeout;
  core.lease_drift_max = options_.lease_drift_max;
  core.seed = env_.random().next();
  core.cache_bytes = options_.cache_bytes;
  core.quiesce_after = options_.quiesce_after;
  auto group = std::make_unique<Group>(id, Core(core, std::move(recovered), env_.now()), machine);
  follow_members(*group);
  groups_.emplace(id, std::move(group));
  return {};
}

void HostImpl::start() {
  next_balance_ = env_.now() + options_.balance_every;
  scope_.spawn(run_turns());
  scope_.spawn(run_persist());
  scope_.spawn(run_ticks());
  if (!remembers_) scope_.spawn(run_rejoin());
}

HostedGroup* HostImpl::find(ShardId group) const {
  auto it = groups_.find(group);
  return it == groups_.end() ? nullptr : it->second.get();
}

bool HostImpl::holds_lease(ShardId id) const {
  const Group* group = find(id);
  return group != nullptr && !failed_ && group->announced && group->core.holds_lease(env_.now());
}

GroupStatus HostImpl::status(ShardId id) const {
  GroupStatus status;
  status.group = id;
  const Group* group = find(id);
  if (group == nullptr) return status;
  const Core& core = group->core;
  status.quiescent = core.is_quiescent();
  status.leader = group->announced && core.is_leader();
  if (core.leader_hint().value != 0) status.leader_hint = core.leader_hint();
  status.term = core.term();
  status.commit = core.commit();
  status.applied = core.applied_index();
  status.last = core.log().last();
  status.members = core.configuration().everyone();
  status.voters = core.configuration().voters;
  status.learners = core.configuration().learners;
  status.changing = core.is_changing();
  if (!core.is_leader()) return status;
  for (NodeId node : status.members) {
    constexpr u64 kClose = 1024;
    const bool close = core.match_of(node).value + kClose >= status.last.value;
    if (node != options_.self && !(close && core.is_active(node, env_.now()))) status.lagging.push_back(node);
  }
  return status;
}

std::vector<ShardId> HostImpl::groups() const {
  std::vector<ShardId> ids;
  for (const auto& [id, group] : groups_) ids.push_back(id);
  return ids;
}

Error HostImpl::not_leader(const Group& group) const {
  const NodeId hint = group.core.leader_hint();
  if (hint.value == 0 || hint == options_.self)
    return Error{Errc::not_leader, fmt::format("group {}: no leader is known", group.id)};
  return Error{Errc::not_leader, fmt::format("group {}: node {} leads", group.id, hint)};
}

runtime::Task<void> HostImpl::stop() {
  stopping_ = true;
  for (auto& [id, group] : groups_) fail_waiters(*group, Error{Errc::cancelled, "raft is stopping"});
  work_.notify_all();
  write_work_.notify_all();
  scope_.stop_accepting();
  co_await scope_.join();
  co_await log_->stop();
}

}  // namespace claudefs::raft
