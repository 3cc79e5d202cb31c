// A node whose log directory is new, or was lost, may have voted and acknowledged before: in a group of
// three, who forgets that breaks Raft. So it takes no part before all other members have told where they
// stand, and stands and votes in full again once it has what they had (Core::rejoin; docs/raft.md gives the
// reasons). The file `member` in the log directory says that this is behind it.
#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "base/log.h"
#include "base/mutant.h"
#include "raft/detail/host/host_impl.h"

namespace claudefs::raft {

using namespace std::chrono_literals;

CFS_DEFINE_MUTANT(raft_host_asks_first_members,
                  "raft: a node with a new log asks the members that its shards were created with");

namespace {
constexpr runtime::Duration kBetweenTries = 200ms;
constexpr runtime::Duration kAskTimeout = 1s;
constexpr runtime::Duration kSayAgainAfter = 30s;

}  // namespace

runtime::Task<Result<void>> forget_membership(runtime::Env& env, std::string log_directory) {
  co_await env.disk().remove(fmt::format("{}/{}", log_directory, kMemberFile));
  co_await env.disk().sync_directory(log_directory);
  co_return Result<void>{};
}

// A leader knows this replica to have acknowledged what it does not have: its disk is an older image.
void HostImpl::doubt_if_it_does(Group& group) {
  if (!group.core.doubts() || !remembers_) return;
  remembers_ = false;
  log::error("raft", "this node lost what it had acknowledged; was its disk rolled back? Asking the others",
             {log::kv("group", group.id), log::kv("last", group.core.log().last())});
  scope_.spawn([](HostImpl* self) -> runtime::Task<void> {
    const Result<void> done = co_await forget_membership(self->env_, self->options_.log_directory).result();
    if (!done) co_return self->disk_failed(done.error());
    co_await self->run_rejoin();
  }(this));
}

bool HostImpl::must_ask() const {
  return !takes_part_ || std::ranges::any_of(groups_, [](const auto& g) { return g.second->core.doubts(); });
}

runtime::Task<void> HostImpl::run_rejoin() {
  runtime::Instant say_at = env_.now() + 2s;
  while (!stopping_ && !failed_) {
    bool waits = must_ask();
    if (waits) waits = !co_await try_rejoin();
    if (waits) {
      if (env_.now() >= say_at) {
        log::warn("raft", "this node's log is new, or lost something: it takes part once " + waits_for_);
        say_at = env_.now() + kSayAgainAfter;
      }
    } else if (std::ranges::all_of(groups_, [](const auto& g) { return g.second->core.remembers(); })) {
      const Result<void> written = co_await remember().result();
      if (!written) disk_failed(written.error());
      co_return;
    }
    co_await env_.executor().sleep(kBetweenTries);
  }
}

// What the other nodes said.
struct HostImpl::Told {
  std::map<ShardId, std::map<NodeId, Stand>> groups;
  std::vector<NodeId> forgetful;
  std::set<NodeId> silent;
};

// Of every node, all at once: who the members are now, a node without memory cannot know.
runtime::Task<HostImpl::Told> HostImpl::ask_all() {
  std::set<NodeId> peers(options_.nodes.begin(), options_.nodes.end());
  for (auto& [id, group] : groups_)
    for (NodeId node : group->core.configuration().everyone()) peers.insert(node);
  peers.erase(options_.self);
  Told told;
  std::vector<runtime::Task<void>> questions;
  for (NodeId node : peers) questions.push_back(ask_one(&told, node));
  co_await runtime::join_all(env_.executor(), std::move(questions));
  co_return told;
}

runtime::Task<void> HostImpl::ask_one(Told* told, NodeId node) {
  auto reply = co_await net::call(client_, address_of_(node), AskStand(), kAskTimeout).result();
  if (!reply) {
    told->silent.insert(node);
    co_return;
  }
  const StandReply& said = reply->message;
  if (!said.remembers) told->forgetful.push_back(node);
  for (std::size_t i = 0; i < said.groups.size(); ++i) {
    const GroupStand& group = said.groups[i];
    Stand stand{group.term, group.end, {}};
    if (i < said.members.size() && !CFS_MUTANT(raft_host_asks_first_members))
      stand.configuration = said.members[i];
    told->groups[group.group][node] = std::move(stand);
  }
}

// Hosts what this node was made a member of, and forgot. False when that cannot be.
bool HostImpl::host_told(const Told& told) {
  for (const auto& [id, stands] : told.groups) {
    if (!newest_of(stands).configuration.is_member(options_.self) || find_or_adopt(id) != nullptr) continue;
    waits_for_ = fmt::format("shard {}, of which it is a member, can be opened", id);
    return false;
  }
  return true;
}

// All members of all groups that are hosted here have spoken, by the newest word on who they are, and of each
// other group so many that they would know if this node had been made a member.
bool HostImpl::is_complete(Told& told) {
  for (auto& [id, group] : groups_) {
    const std::map<NodeId, Stand>& stands = told.groups[id];
    Configuration members = newest_of(stands).configuration;
    if (members.voters.empty()) members = group->core.configuration();
    for (NodeId node : members.everyone()) {
      if (node == options_.self || stands.contains(node)) continue;
      waits_for_ = told.silent.contains(node)
                       ? fmt::format("node {} at {} answers too: start it", node, address_of_(node))
                       : fmt::format("all members of shard {} are ready; node {} is not", id, node);
      return false;
    }
  }
  if (told.silent.empty()) return true;
  for (u16 id = 0; id < options_.groups; ++id) {
    const std::map<NodeId, Stand>& stands = told.groups[ShardId{id}];
    const auto spoke = [&](NodeId node) { return stands.contains(node); };
    if (groups_.contains(ShardId{id}) || newest_of(stands).configuration.quorum(spoke)) continue;
    waits_for_ = fmt::format("most members of shard {} answer; node {} at {} does not: start it", id,
                             *told.silent.begin(), address_of_(*told.silent.begin()));
    return false;
  }
  return true;
}

// Sets what the others say as the floor of every group; false, and waits_for_, when that cannot be now.
runtime::Task<bool> HostImpl::try_rejoin() {
  Told told = co_await ask_all();
  if (!host_told(told) || !is_complete(told)) co_return false;
  bool untouched = true;
  for (auto& [id, group] : groups_) {
    const Stand newest = newest_of(told.groups[id]);
    const bool is_new = newest.end == LogEnd{} && newest.term == Term{} && group->core.log_end() == LogEnd{};
    untouched = untouched && is_new;
    for (NodeId node : told.forgetful) {
      if (is_new || !newest.configuration.is_voter(node)) continue;
      waits_for_ = fmt::format(
          "node {}, whose log is new or lost something as well, has its old one back: "
          "what both held may exist nowhere else",
          node);
      co_return false;
    }
  }
  for (auto& [id, group] : groups_) {
    if (takes_part_ && !group->core.doubts()) continue;
    group->core.rejoin(newest_of(told.groups[id]), env_.now());
    mark(*group);
  }
  // A group in which nothing was ever written has nothing to forget: then others may count on us at once.
  if (untouched) {
    const Result<void> written = co_await remember().result();
    if (!written) {
      disk_failed(written.error());
      co_return false;
    }
  } else {
    log::info("raft", "the log is new, or lost something: receiving from the other members what it held");
  }
  takes_part_ = true;
  co_return true;
}

runtime::Task<Result<void>> HostImpl::remember() {
  if (remembers_) co_return Result<void>{};
  const std::string path = fmt::format("{}/{}", options_.log_directory, kMemberFile);
  const std::unique_ptr<runtime::File> file = co_await env_.disk().open(path, runtime::OpenMode::create);
  co_await file->flush();
  co_await env_.disk().sync_directory(options_.log_directory);
  remembers_ = true;
  log::info("raft", "this node is a member of all its shards");
  co_return Result<void>{};
}

runtime::Task<Result<net::TypedReply<StandReply>>> HostImpl::on_ask_stand(net::Request request) {
  net::TypedReply<StandReply> reply;
  reply.message.remembers = remembers_;
  for (auto& [id, group] : groups_) {
    if (failed_ || stopping_) co_return fail(Errc::unavailable, "raft has stopped on this node");
    const Stand stand = group->core.stand();
    reply.message.groups.push_back({id, stand.term, stand.end});
    reply.message.members.push_back(stand.configuration);
    group->core.peer_forgot(request.peer, env_.now());
    mark(*group);
  }
  co_return std::move(reply);
}

}  // namespace claudefs::raft
