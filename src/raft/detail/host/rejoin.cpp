// A node whose log directory is new, or was lost, may have voted and acknowledged before: in a group of
// three, who forgets that breaks Raft. So it takes no part before all other members have told where they
// stand, and stands and votes in full again once it has what they had (Core::rejoin; docs/raft.md gives the
// reasons). The file `member` in the log directory says that this is behind it.
#include <algorithm>

#include <fmt/format.h>

#include "base/log.h"
#include "raft/detail/host/host_impl.h"

namespace claudefs::raft {

using namespace std::chrono_literals;

namespace {
constexpr runtime::Duration kBetweenTries = 200ms;
constexpr runtime::Duration kAskTimeout = 1s;
constexpr runtime::Duration kSayAgainAfter = 30s;

std::vector<NodeId> others_of(const std::vector<NodeId>& members, NodeId self) {
  std::vector<NodeId> others = members;
  std::erase(others, self);
  return others;
}
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
    if (must_ask() && !co_await try_rejoin()) {
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

// Sets what the others say as the floor of every group; false, and waits_for_, when that cannot be now.
runtime::Task<bool> HostImpl::try_rejoin() {
  struct Stand {
    Term term{};
    LogEnd end;
    std::size_t told = 0;
  };
  std::map<NodeId, std::size_t> peers;
  for (auto& [id, group] : groups_)
    for (NodeId node : others_of(group->core.configuration().everyone(), options_.self)) peers[node] += 1;
  std::map<ShardId, Stand> stands;
  std::vector<NodeId> forgetful;
  for (const auto& [node, shared] : peers) {
    auto reply = co_await net::call(client_, address_of_(node), AskStand(), kAskTimeout).result();
    if (!reply) {
      waits_for_ = fmt::format("node {} at {} answers too: start it", node, address_of_(node));
      co_return false;
    }
    if (!reply->message.remembers) forgetful.push_back(node);
    for (const GroupStand& told : reply->message.groups) {
      Stand& stand = stands[told.group];
      stand.term = std::max(stand.term, told.term);
      stand.end = std::max(stand.end, told.end);
      stand.told += 1;
    }
  }
  bool untouched = true;
  for (auto& [id, group] : groups_) {
    const Stand& stand = stands[id];
    if (stand.told != others_of(group->core.configuration().everyone(), options_.self).size()) {
      waits_for_ = fmt::format("all members of shard {} are ready", id);
      co_return false;
    }
    untouched = untouched && stand.end == LogEnd{} && group->core.log_end() == LogEnd{};
  }
  if (!untouched && !forgetful.empty()) {
    waits_for_ = fmt::format(
        "node {}, whose log is new or lost something as well, has its old one back: what both held may exist "
        "nowhere else",
        forgetful.front());
    co_return false;
  }
  for (auto& [id, group] : groups_) {
    if (takes_part_ && !group->core.doubts()) continue;
    group->core.rejoin(stands[id].term, stands[id].end, env_.now());
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
    reply.message.groups.push_back({id, group->core.term(), group->core.log_end()});
    group->core.peer_forgot(request.peer, env_.now());
    mark(*group);
  }
  co_return std::move(reply);
}

}  // namespace claudefs::raft
