// Keep-alives, reclaiming, recalls.
#include "base/log.h"
#include "base/mutant.h"
#include "client/detail/state.h"

CFS_DEFINE_MUTANT(invalidate_skipped, "client: a recalled lease is given back but its caches stay");

namespace claudefs::client {
namespace {

using namespace std::chrono_literals;
constexpr runtime::Duration kContendedFor = 5s;
constexpr runtime::Duration kKernelWithin = 5s;
// The kernel distrusts the attributes at once; for the pages it may wait for requests that wait for us.
constexpr runtime::Duration kKernelVoids = 20ms;
constexpr std::size_t kReclaimAtOnce = 5000;
constexpr std::size_t kReleaseAtOnce = 10'000;
constexpr int kAcquireAttempts = 1000;

bool is_final(Errc code) { return code == Errc::stale || code == Errc::fenced || code == Errc::unsupported; }

Task<void> do_then_set(Task<void> work, std::shared_ptr<runtime::Event> done) {
  co_await std::move(work);
  done->set();
}

}  // namespace

Task<Result<void>> Leases::attach(ShardId shard) {
  const SessionId session = state_.session;
  const auto reply =
      co_await state_.router.call(shard, meta::AttachSession{session}, cluster::RequestId{session, 0, 0})
          .result();
  if (!reply) co_return fail(reply.error());
  if (state_.session != session) co_return fail(Errc::fenced, "the session expired meanwhile");
  links_[shard].attached = true;
  hurry();  // leases count from the first keep-alive on
  co_return Result<void>();
}

Task<void> Leases::keep_alive() {
  while (!state_.stopping.is_set()) {
    hurry_ = false;
    if (state_.router.shard_count() != 0)
      for (const cluster::NodeView& node : state_.router.map().nodes)
        if (asking_.insert(node.id).second) state_.scope.spawn(keep_alive_at(node.id, node.address));
    if (!hurry_) co_await tick_.wait_until(env_.now() + meta::kKeepAliveEvery);
  }
}

Task<void> Leases::keep_alive_at(NodeId node, std::string address) {
  meta::KeepAlive message;
  const SessionId session = message.session = state_.session;
  // Every node gets all: only the leader of an inode's shard knows of it.
  const bool with_releases = released_.size() > 0 && asking_.size() == state_.router.map().nodes.size();
  if (with_releases) {
    const std::size_t count = std::min(released_.size(), kReleaseAtOnce);
    message.released.assign(released_.end() - static_cast<long>(count), released_.end());
  }
  const runtime::Instant sent = env_.now();
  auto reply = co_await net::call(rpc_, std::move(address), message, 2s).result();
  asking_.erase(node);
  if (with_releases && asking_.empty() && !released_.empty())
    released_.resize(released_.size() - std::min(released_.size(), message.released.size()));
  if (!reply || session != state_.session) co_return;
  if (reply->message.volume_deleted) state_.end_volume();
  if (reply->message.volume_version > state_.volume.version && state_.scope.accepting())
    state_.scope.spawn(state_.follow_volume());
  if (reply->message.fenced) {
    (void)co_await state_.renew_session(session).result();
    co_return;
  }
  for (const meta::KeepAliveReply::Shard& shard : reply->message.shards) {
    Link& link = links_[shard.shard];
    link.attached = true;
    if (link.term > shard.term) continue;
    link.limited = shard.limited;
    if (link.term == shard.term && !shard.reclaim) {
      link.valid_until = std::max(link.valid_until, sent + meta::kLeaseTrusted);
    } else if (!link.reclaiming) {
      link.reclaiming = true;
      state_.scope.spawn(reclaim(shard.shard, shard.term, sent));
    }
  }
}

Task<void> Leases::reclaim(ShardId shard, Term term, runtime::Instant sent) {
  const SessionId session = state_.session;
  const Term old = links_[shard].term;
  std::vector<cluster::LeaseGrant> held;
  for (const auto& [inode, entry] : entries_)
    if (inode.shard() == shard && entry.term == old && entry.mode != LeaseMode::none)
      held.push_back({inode, entry.mode});
  Result<meta::Nothing> done;
  for (std::size_t at = 0;; at += kReclaimAtOnce) {
    meta::ReclaimLeases message;
    message.session = session;
    message.term = term;
    const std::size_t end = std::min(held.size(), at + kReclaimAtOnce);
    if (at < end)
      message.leases.assign(held.begin() + static_cast<long>(at), held.begin() + static_cast<long>(end));
    message.last = end == held.size();
    done = co_await state_.router.call(shard, std::move(message), cluster::RequestId{session, 0, 0}).result();
    if (!done || end == held.size()) break;
  }
  if (session != state_.session) co_return;
  Link& link = links_[shard];
  link.reclaiming = false;
  if (!done) {
    if (done.error().code == Errc::fenced) (void)co_await state_.renew_session(session).result();
    co_return;  // otherwise the next keep-alive tries again
  }
  for (const cluster::LeaseGrant& told : held) {
    Entry* entry = find(told.inode);
    if (entry == nullptr || entry->term != old) continue;
    entry->term = term;
    entry->sequence = 0;
    entry->mode = std::min(entry->mode, told.mode);
  }
  link.term = term;
  link.valid_until = std::max(link.valid_until, sent + meta::kLeaseTrusted);
  changed_.notify_all();
}

Task<Result<Leases::Use>> Leases::use_for_writing(InodeId inode) {
  for (int attempt = 0; attempt < kAcquireAttempts; ++attempt) {
    co_await settled(inode);
    if (held(inode) == LeaseMode::write) {
      ++find(inode)->uses;
      co_return Use(this, inode);
    }
    meta::AcquireLease acquire;
    acquire.inode = inode;
    acquire.write = true;
    const u64 started = clock_;
    const Result<meta::InodeReply> reply = co_await state_.ask(inode.shard(), std::move(acquire)).result();
    if (!reply) {
      if (is_final(reply.error().code)) co_return fail(reply.error());
      co_await env_.executor().sleep(20ms);
      continue;
    }
    learn_attributes(started, reply->inode);
    (void)state_.present(reply->inode);
    // Granted, but the shard's leader has not answered a keep-alive yet; or recalled at once.
    if (held(inode) != LeaseMode::write) {
      hurry();
      co_await changed_.wait_until(env_.now() + 5ms);
    }
  }
  co_return fail(Errc::busy, "other clients write to this file all the time");
}

// Recalls --------------------------------------------------------------------------------------------------

// On the file system's scope: the connection that brought it outlives the file system.
Task<Result<net::Reply>> Leases::on_recall(net::Request request) {
  const meta::Recall recall = co_await wire::decode<meta::Recall>(request.body);
  // The session leaves in a moment, and its leases with it.
  if (!state_.scope.accepting()) co_return fail(Errc::cancelled, "the mount is ending");
  const auto done = std::make_shared<runtime::Event>(env_.executor());
  state_.scope.spawn(do_then_set(obey(recall), done));
  co_await done->wait();
  co_return net::Reply{wire::encode(net::Empty{}), {}};
}

Task<void> Leases::obey(meta::Recall recall) {
  if (recall.session != state_.session) co_return;
  ++counts_.recalls;
  if (in_flight_ != 0)
    recalled_[recall.inode] = {recall.term, recall.sequence,
                               recall.keep_read ? LeaseMode::read : LeaseMode::none};
  for (;;) {
    const Entry* entry = find(recall.inode);
    if (entry == nullptr || entry->mode <= (recall.keep_read ? LeaseMode::read : LeaseMode::none)) co_return;
    if (!entry->leaving) break;
    co_await changed_.wait();
  }
  co_await give_back(recall);
}

Task<void> Leases::give_back(meta::Recall recall) {
  const InodeId inode = recall.inode;
  const SessionId session = state_.session;
  find(inode)->leaving = true;
  if (const FilePtr file = state_.find_file(inode)) file->only_ours = false;
  // Still in possession: pages that a program has changed through a map come back as writes.
  if (!recall.keep_read) co_await forget_content_within(inode, kKernelWithin);
  Entry* entry = find(inode);
  if (entry == nullptr || session != state_.session) co_return;
  entry->recalling = true;
  while ((entry = find(inode)) != nullptr && entry->uses != 0) co_await changed_.wait();
  for (;;) {
    const FilePtr file = state_.find_file(inode);
    if (file == nullptr || !file->is_dirty() || session != state_.session) break;
    const Result<void> flushed = co_await state_.flush(file, FlushMode::everything).result();
    if (!flushed && file->is_dirty()) co_await env_.executor().sleep(100ms);
  }
  if (session != state_.session) co_return;
  // Who changes the inode next may be giving it to somebody else.
  if (const FilePtr file = state_.find_file(inode)) file->reserved = 0;
  if (recall.keep_read) {
    if ((entry = find(inode)) != nullptr) {
      entry->mode = LeaseMode::read;
      entry->leaving = entry->recalling = false;
    }
    changed_.notify_all();
    co_return;
  }
  if (!CFS_MUTANT(invalidate_skipped)) {
    // What was read in the meantime. Before the answer: later it would void what the kernel asks then.
    co_await forget_content_within(inode, kKernelVoids);
    if (session != state_.session) co_return;
    if ((entry = find(inode)) != nullptr) forget_attributes(inode, *entry);
    co_await make_kernel_forget_names(inode);
    if (session != state_.session) co_return;
    if (const auto at = entries_.find(inode); at != entries_.end()) {
      if (at->second.own_changes != 0) changing_[inode] += at->second.own_changes;
      entries_.erase(at);
    }
  } else if ((entry = find(inode)) != nullptr) {
    entry->leaving = entry->recalling = false;
  }
  ++clock_;
  changed_.notify_all();
  co_await state_.tell_open(inode);
}

Task<void> Leases::forget_content_within(InodeId inode, runtime::Duration limit) {
  if (!kernel_content_.contains(inode) && !forgetting_.contains(inode)) co_return;
  const auto done = std::make_shared<runtime::Event>(env_.executor());
  state_.scope.spawn(do_then_set(forget_content(inode), done));
  (void)co_await done->wait_until(env_.now() + limit);
}

// The kernel drops a name under its directory's lock, which may wait for a request that waits for us: then
// the name's time runs out first.
Task<void> Leases::make_kernel_forget_names(InodeId place) {
  Entry* entry = find(place);
  if (entry == nullptr || kernel_ == nullptr) co_return;
  const runtime::Instant now = env_.now();
  if (!entry->names.empty() || !entry->kernel_names.empty() || contended_.contains(place)) {
    std::erase_if(contended_, [&](const auto& other) { return other.second <= now; });
    contended_[place] = now + kContendedFor;
  }
  runtime::Instant last = now;
  std::vector<std::string> names;
  for (const auto& [name, until] : entry->kernel_names) {
    if (until <= now) continue;
    names.push_back(name);
    last = std::max(last, until);
  }
  const runtime::Instant unlisted = entry->kernel_names_until;
  if (names.empty() && unlisted <= now) co_return;
  const InodeId directory = entry->fragment_of == InodeId{} ? place : entry->fragment_of;
  const auto left = std::make_shared<std::size_t>(names.size());
  const auto done = std::make_shared<runtime::Event>(env_.executor());
  for (std::string& name : names)
    state_.scope.spawn([](Leases* self, InodeId parent, std::string which, std::shared_ptr<std::size_t> count,
                          std::shared_ptr<runtime::Event> all) -> Task<void> {
      co_await self->forget_name(parent, std::move(which));
      if (--*count == 0) all->set();
    }(this, directory, std::move(name), left, done));
  if (!names.empty()) (void)co_await done->wait_until(last);
  if (unlisted > env_.now()) co_await env_.executor().sleep_until(unlisted);
}

// Ending ---------------------------------------------------------------------------------------------------

Task<void> Leases::leave(SessionId session) {
  std::vector<ShardId> shards;
  for (const auto& [shard, link] : links_)
    if (link.attached) shards.push_back(shard);
  std::vector<Task<void>> goodbyes;
  for (const ShardId shard : shards)
    goodbyes.push_back([](Leases* self, ShardId at, SessionId who) -> Task<void> {
      (void)co_await self->state_.router.call(at, meta::FenceSession{who}, cluster::RequestId{who, 0, 0})
          .result();
    }(this, shard, session));
  co_await runtime::join_all(env_.executor(), std::move(goodbyes));
}

}  // namespace claudefs::client
