#include <fmt/format.h>

#include "base/log.h"
#include "base/probe.h"
#include "client/detail/state.h"

namespace claudefs::client {

State::State(FileSystem::Parts parts, Options given)
    : env(parts.env),
      router(parts.router),
      make_chunk_io(std::move(parts.make_chunk_io)),
      options(std::move(given)),
      outage(parts.env, options.outage_after),
      session_lock(parts.env.executor()),
      room(parts.env.executor()),
      stopping(parts.env.executor()),
      scope(parts.env.executor()) {
  if (parts.rpc != nullptr && parts.pushes != nullptr)
    leases = std::make_unique<Leases>(*this, *parts.rpc, *parts.pushes);
}

namespace {

Error volume_gone(const std::string& name) {
  return {Errc::stale, fmt::format("the volume '{}' was deleted; unmount it", name)};
}

bool is_silence(Errc code) {
  return code == Errc::timed_out || code == Errc::unavailable || code == Errc::connection_lost;
}

}  // namespace

Task<Result<Buffer>> State::send_watched(ShardId shard, u16 kind, cluster::RequestId id, Buffer body) {
  Outage::Watch watch(outage, shard);
  Result<Buffer> reply = co_await send(shard, kind, id, std::move(body)).result();
  if (!reply && is_silence(reply.error().code))
    watch.gave_up(reply.error());
  else
    watch.answered();
  co_return reply;
}

Task<Result<Buffer>> State::send(ShardId shard, u16 kind, cluster::RequestId id, Buffer body) {
  if (volume_deleted) co_return fail(volume_gone(volume.name));
  if (leases == nullptr) co_return co_await router.call_raw(shard, kind, id, std::move(body)).result();
  const SessionId used = id.sequence == 0 ? session : id.session;
  if (!leases->is_attached(shard)) {
    const Result<void> attached = co_await leases->attach(shard).result();
    if (!attached && attached.error().code == Errc::fenced && id.sequence == 0)
      co_await renew_session(used);
    else if (!attached)
      co_return fail(attached.error());
  }
  id.session = id.sequence == 0 ? session : used;
  const u64 started = leases->begin();
  Result<cluster::ShardReply> reply =
      co_await router.call_for_leases(shard, kind, id, std::move(body)).result();
  static const cluster::LeaseGrants kNone;
  leases->end(started, reply && id.session == session ? reply->grants : kNone);
  if (!reply) co_return fail(std::move(reply.error()));
  if (reply->code != Errc::ok) co_return fail(reply->code, std::move(reply->text));
  co_return std::move(reply->body);
}

Inode State::learn(u64 started, const Inode& inode) {
  if (leases == nullptr) return present(inode);
  leases->learn_attributes(started, inode);
  // Another answer may have come first that is newer.
  const Inode* known = leases->attributes(inode.id);
  return present(known != nullptr ? *known : inode);
}

Task<Result<Leases::Use>> State::use_for_writing(FilePtr file) {
  if (leases == nullptr) co_return Leases::Use();
  co_return co_await leases->use_for_writing(file->id()).result();
}

Task<Result<void>> State::ensure_current(FilePtr file) {
  if (leases == nullptr) co_return Result<void>();
  // What is written here and not committed yet is there only under the write lease: without it another may
  // have written since.
  if (file->has_dirty_bytes() && leases->held(file->id()) != LeaseMode::write)
    (void)co_await leases->use_for_writing(file->id());
  co_await leases->settled(file->id());
  // A lease alone is not enough: it may have come with an answer (a page of a listing) that nobody has looked
  // at.
  if (leases->attributes(file->id()) != nullptr) co_return Result<void>();
  const u64 started = clock();
  const meta::InodeReply reply = co_await ask(file->id().shard(), meta::GetAttributes(file->id()));
  (void)learn(started, reply.inode);
  co_return Result<void>();
}

void State::drop_what_is_not_committed() {
  for (auto& [inode, file] : files) {
    file->only_ours = false;
    file->reserved = 0;
    file->has_reserve = false;
    if (file->dirty.empty() && file->attribute_changes.empty())
      continue;  // what is being committed now finds out by itself
    CFS_PROBE(client_bytes_lost_with_session, "buffered bytes go with their session");
    log::warn("client", "written data is lost with its session",
              {log::kv("inode", inode), log::kv("bytes", file->dirty.bytes())});
    file->dirty.clear();
    file->appended_from.reset();
    file->attribute_changes.clear();
    ++file->failures;
    file->failure = lost_with_session();
    recount(*file);
  }
  for (auto& [number, handle] : handles)
    if (handle.file->has_locks) handle.locks_lost = true;
  for (auto& [inode, file] : files) file->has_locks = file->told_open = false;
  room.notify_all();
}

void State::end_volume() {
  if (volume_deleted) return;
  CFS_PROBE(client_volume_deleted, "a mount hears that its volume was deleted");
  volume_deleted = true;
  log::error("client", volume_gone(volume.name).text);
  drop_what_is_not_committed();
  known_usage.reset();
  std::map<InodeId, u64>().swap(seen_versions);
  if (leases) leases->drop_all();
}

// Once: a later one of the same name is another.
Task<Result<void>> State::find_volume() {
  if (volume.id != VolumeId{}) co_return Result<void>();
  if (options.volume.empty())
    volume.root = meta::kRootInode;
  else
    volume = co_await router.call(ShardId{0}, meta::FindVolume(options.volume));
  co_return Result<void>();
}

Task<void> State::follow_volume() {
  if (volume.id == VolumeId{} || volume_asked) co_return;
  volume_asked = true;
  Result<meta::Volume> now = co_await router.call(ShardId{0}, meta::FindVolume(volume.name)).result();
  volume_asked = false;
  if (!now || now->id != volume.id || now->version <= volume.version) co_return;
  CFS_PROBE(client_policy_followed, "a mount follows a change of its volume's policy");
  volume = std::move(*now);
  chunk_io->set_compression(volume.policy.compression);
}

Task<Result<void>> State::open_session() {
  co_await find_volume();
  meta::OpenSession open;
  open.client_name = options.client_name;
  open.squash_root = options.squash_root;
  open.volume = volume.id;
  const meta::OpenSessionReply reply = co_await router.call(ShardId{0}, std::move(open));
  session = reply.session;
  chunk_io = make_chunk_io(reply.session, reply.domain_key);
  chunk_io->set_compression(volume.policy.compression);
  co_return Result<void>();
}

Task<Result<void>> State::renew_session(SessionId expired) {
  auto lock = co_await session_lock.lock();
  if (session != expired) co_return Result<void>();  // somebody else has renewed it
  // Nobody would end the new one, and others would wait for it.
  if (stopping.is_set()) co_return fail(Errc::fenced, "the session has expired, and the mount is ending");
  CFS_PROBE(client_session_renewed, "a session has expired and the client opens another");
  log::warn("client", "the session has expired; opening a new one", {log::kv("session", expired)});
  const Result<void> opened = co_await open_session().result();
  if (!opened && opened.error().code == Errc::stale) end_volume();
  co_await Result<void>(opened);
  if (leases) {
    // From the moment that the session is another one: nothing learnt under the old one counts.
    drop_what_is_not_committed();
    std::map<InodeId, u64>().swap(seen_versions);
    scope.spawn(leases->leave(expired));
    leases->drop_all();
    for (const ShardId shard : shards_of_open_files()) scope.spawn(hold_open_in(shard));
  }
  co_return Result<void>();
}

Task<void> State::watch_outage() {
  while (!co_await stopping.wait_until(env.now() + runtime::Duration(1'000'000'000))) outage.check();
}

}  // namespace claudefs::client
