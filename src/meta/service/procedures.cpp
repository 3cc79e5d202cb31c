// Operations that may span shards, and those that need more than the replicated state.
#include "base/probe.h"
#include "meta/detail/namespace.h"
#include "meta/detail/volumes.h"
#include "meta/service/directory_keeper.h"
#include "meta/service/namespace_service.h"
#include "meta/service/quota_service.h"

namespace claudefs::meta {
namespace {

template <class Op>
Result<Op> decode_as(const cluster::RequestId& id, const Buffer& body) {
  TRY_ASSIGN(Op op, wire::decode<Op>(body));
  squash_in(id.session, op.caller);
  return op;
}

std::vector<InodeId> directories_removed_by(const std::vector<Part>& parts) {
  std::vector<InodeId> out;
  for (const Part& part : parts)
    if (const auto* removed = std::get_if<RemoveDirInode>(&part)) out.push_back(removed->inode);
  return out;
}

}  // namespace

// Plans on the applied state. Inside one shard the command plans again by itself when it is applied.
template <class Op, class MakePlan>
runtime::Task<Result<Buffer>> NamespaceService::run_planned(ShardId shard, cluster::RequestId id, Op op,
                                                            MakePlan make_plan) {
  co_await service_.barrier(shard);
  const ReadContext& state = service_.machine(shard)->reader();
  auto planned = make_plan(state, op, now());
  // Told by the command itself, so that it is the answer for good: no copy of this request is executed later,
  // when the name may be back. (MakeDirectory is proposed only for an id of this shard.)
  if (!planned && planned.error().code == Errc::moved && Op::kKind != MakeDirectory::kKind) {
    Result<Buffer> told = co_await service_.propose(shard, Op::kKind, id, wire::encode(op)).result();
    if (told || told.error().code != Errc::cross_device) co_return std::move(told);
  }
  auto plan = co_await std::move(planned);
  std::vector<InodeId> removed = directories_removed_by(plan.parts);
  Result<Buffer> done;
  if (all_local(state, plan.parts) && plan.moves.empty())
    done = co_await service_.propose(shard, Op::kKind, id, wire::encode(op)).result();
  else
    done = co_await coordinator_.run(shard, id, Coordinator::work_of(std::move(plan))).result();
  // A directory that goes is split; or planned again when it was applied, and the name led to another shard
  // by then.
  if (!done && done.error().code == Errc::cross_device)
    co_return co_await gather_and_plan_again(std::move(removed)).result();
  co_return std::move(done);
}

// Where they have entries, that is the answer.
runtime::Task<Result<Buffer>> NamespaceService::gather_and_plan_again(std::vector<InodeId> directories) {
  for (const InodeId directory : directories) {
    const Result<Nothing> whole =
        co_await service_.call_op(directory.shard(), GatherFragments(directory)).result();
    if (!whole && whole.error().code != Errc::stale) co_return fail(whole.error());
  }
  co_return fail(Errc::busy, "the entry is being changed by another request");
}

// One transaction over all fragments, which have to be empty.
runtime::Task<Result<Buffer>> NamespaceService::gather_fragments(ShardId shard, cluster::RequestId,
                                                                 Buffer body) {
  const GatherFragments op = co_await wire::decode<GatherFragments>(body);
  co_await service_.barrier(shard);
  const ReadContext& state = service_.machine(shard)->reader();
  const ReadFragments::Reply directory = co_await read_fragments(state, ReadFragments(op.directory));
  if (directory.inode.size != 0) co_return fail(Errc::not_empty);
  if (directory.fragments.empty()) co_return wire::encode(Nothing{});
  CFS_PROBE(meta_fragments_gathered, "a split directory is made whole before it goes");
  Coordinator::Work work;
  const FragmentMap& map = directory.fragments;
  for (std::size_t i = 0; i < map.size(); ++i)
    work.parts.push_back(
        CutEntries{map[i].inode, map[i].first, i + 1 < map.size() ? map[i + 1].first : 0, true});
  work.parts.push_back(SetFragments{op.directory, map, {}});
  work.answer = [](const After&) { return wire::encode(Nothing{}); };
  co_return co_await coordinator_.run(shard, {}, std::move(work)).result();
}

// Of a directory that is split its fragments follow, in one transaction.
template <class Op, class MakePlan>
runtime::Task<Result<Buffer>> NamespaceService::change_directory(ShardId shard, cluster::RequestId id,
                                                                 Buffer body, MakePlan make_plan) {
  Result<Buffer> done = co_await service_.propose(shard, Op::kKind, id, body).result();
  if (done || done.error().code != Errc::cross_device) co_return std::move(done);
  const Op op = co_await decode_as<Op>(id, body);
  co_await service_.barrier(shard);
  auto plan = co_await make_plan(service_.machine(shard)->reader(), op, now());
  co_return co_await coordinator_.run(shard, id, Coordinator::work_of(std::move(plan))).result();
}

runtime::Task<Result<Buffer>> NamespaceService::set_attributes(ShardId shard, cluster::RequestId id,
                                                               Buffer body) {
  return change_directory<SetAttributes>(shard, id, std::move(body), plan_set_directory);
}
runtime::Task<Result<Buffer>> NamespaceService::set_xattr(ShardId shard, cluster::RequestId id, Buffer body) {
  return change_directory<SetXattr>(shard, id, std::move(body), plan_set_list);
}
runtime::Task<Result<Buffer>> NamespaceService::remove_xattr(ShardId shard, cluster::RequestId id,
                                                             Buffer body) {
  return change_directory<RemoveXattr>(shard, id, std::move(body), plan_remove_list);
}

runtime::Task<Result<Buffer>> NamespaceService::make_directory(ShardId shard, cluster::RequestId id,
                                                               Buffer body) {
  const MakeDirectory op = co_await decode_as<MakeDirectory>(id, body);
  for (u32 attempt = 0;; ++attempt) {
    const auto make_plan = [attempt](const ReadContext& state, const MakeDirectory& asked, Time now) {
      return plan_make_directory(state, asked, attempt, now);
    };
    Result<Buffer> result = co_await run_planned(shard, id, op, make_plan).result();
    // Either the id is taken, or the name: planning again tells.
    if (result || result.error().code != Errc::exists) co_return std::move(result);
    const auto slot = co_await find_settled(service_.machine(shard)->reader(), op.parent, op.name);
    if (slot) co_return std::move(result);
  }
}

// The inode that the name led to was removed by somebody else before it was prepared: the name tells more
// when it is looked up again. A parent that is gone is an answer.
Result<Buffer> NamespaceService::again_if_overtaken(ShardId shard, InodeId parent, Result<Buffer> done) {
  if (done || done.error().code != Errc::stale) return done;
  if (!load_inode(service_.machine(shard)->reader(), parent)) return done;
  return fail(Errc::busy, "the entry is being removed by another request");
}

bool NamespaceService::keeps_what_leaves(ShardId shard, InodeId directory) const {
  const ReadContext& state = service_.machine(shard)->reader();
  const Result<Inode> inode = load_inode(state, directory);
  return inode && keeps_removed(state, inode->volume, trash_);
}

runtime::Task<Result<Buffer>> NamespaceService::unlink(ShardId shard, cluster::RequestId id, Buffer body) {
  Unlink op = co_await decode_as<Unlink>(id, body);
  op.to_trash = op.to_trash && keeps_what_leaves(shard, op.parent);
  const InodeId parent = op.parent;
  Result<Buffer> done = co_await run_planned(shard, id, std::move(op), plan_unlink).result();
  co_return again_if_overtaken(shard, parent, std::move(done));
}

runtime::Task<Result<Buffer>> NamespaceService::remove_directory(ShardId shard, cluster::RequestId id,
                                                                 Buffer body) {
  RemoveDirectory op = co_await decode_as<RemoveDirectory>(id, body);
  op.to_trash = op.to_trash && keeps_what_leaves(shard, op.parent);
  const InodeId parent = op.parent;
  Result<Buffer> done = co_await run_planned(shard, id, std::move(op), plan_remove_directory).result();
  co_return again_if_overtaken(shard, parent, std::move(done));
}

runtime::Task<Result<Buffer>> NamespaceService::link(ShardId shard, cluster::RequestId id, Buffer body) {
  const Link op = co_await decode_as<Link>(id, body);
  if (op.inode.shard() == shard) co_return co_await service_.propose(shard, Link::kKind, id, body).result();
  const InodeReply reply = co_await service_.call_op(op.inode.shard(), GetAttributes(op.inode));
  const auto make_plan = [inode = reply.inode](const ReadContext& state, const Link& asked, Time now) {
    return plan_link(state, asked, inode, now);
  };
  co_return co_await run_planned(shard, id, op, make_plan).result();
}

runtime::Task<Result<Buffer>> NamespaceService::restore_file(ShardId shard, cluster::RequestId id,
                                                             Buffer body) {
  const RestoreFile op = co_await decode_as<RestoreFile>(id, body);
  if (op.inode.shard() == shard)
    co_return co_await service_.propose(shard, RestoreFile::kKind, id, body).result();
  const Result<InodeReply> reply =
      co_await service_.call_op(op.inode.shard(), GetAttributes(op.inode)).result();
  if (!reply && reply.error().code == Errc::stale)
    co_return fail(Errc::not_found, "it is not in the trash any more");
  if (!reply) co_return fail(reply.error());
  const auto make_plan = [inode = reply->inode](const ReadContext& state, const RestoreFile& asked,
                                                Time now) {
    return plan_restore_file(state, asked, inode, now);
  };
  co_return co_await run_planned(shard, id, op, make_plan).result();
}

runtime::Task<Result<Buffer>> NamespaceService::rename(ShardId shard, cluster::RequestId id, Buffer body) {
  const Rename op = co_await decode_as<Rename>(id, body);
  if (op.new_parent.shard() == shard) {
    Result<Buffer> done = co_await service_.propose(shard, Rename::kKind, id, body).result();
    if (done || done.error().code != Errc::cross_device) co_return std::move(done);
  }
  const FindDentryReply reply =
      co_await service_.call_op(op.new_parent.shard(), FindDentry(op.new_parent, op.new_name, op.caller));
  co_await service_.barrier(shard);
  auto plan = co_await plan_rename(service_.machine(shard)->reader(), op, reply, now());
  std::vector<InodeId> removed = directories_removed_by(plan.parts);
  Result<Buffer> done = co_await coordinator_.run(shard, id, Coordinator::work_of(std::move(plan))).result();
  if (!done && done.error().code == Errc::cross_device)
    co_return co_await gather_and_plan_again(std::move(removed)).result();
  // Somebody made the new name, or removed what either name led to, after it was looked up: plan again.
  const bool overtaken = !done && (done.error().code == Errc::stale ||
                                   (done.error().code == Errc::exists && op.mode != RenameMode::no_replace));
  if (overtaken) co_return fail(Errc::busy, "an entry is being changed by another request");
  co_return std::move(done);
}

runtime::Task<Result<Buffer>> NamespaceService::create_volume(ShardId shard, cluster::RequestId id,
                                                              Buffer body) {
  const CreateVolume op = co_await wire::decode<CreateVolume>(body);
  for (u32 attempt = 0;; ++attempt) {
    const auto make_plan = [attempt](const ReadContext& state, const CreateVolume& asked, Time now) {
      return plan_create_volume(state, asked, attempt, now);
    };
    Result<Buffer> result = co_await run_planned(shard, id, op, make_plan).result();
    // The id that was planned has gone to a volume that came and went meanwhile.
    if (!result && result.error().code == Errc::stale)
      co_return fail(Errc::busy, "a volume was just deleted");
    // Either the root's id is taken, or the name: planning again tells.
    if (result || result.error().code != Errc::exists) co_return std::move(result);
    (void)co_await plan_create_volume(service_.machine(shard)->reader(), op, attempt, now());
  }
}

runtime::Task<Result<Buffer>> NamespaceService::delete_volume(ShardId shard, cluster::RequestId id,
                                                              Buffer body) {
  const DeleteVolume op = co_await wire::decode<DeleteVolume>(body);
  Result<Buffer> done = co_await run_planned(shard, id, op, plan_delete_volume).result();
  if (!done && done.error().code == Errc::not_empty)
    co_return fail(
        Errc::not_empty,
        fmt::format("the volume '{}' is not empty; `claudefs volume delete --purge {}` deletes all "
                    "that is in it",
                    op.name, op.name));
  co_return std::move(done);
}

runtime::Task<Result<Buffer>> NamespaceService::open_session(ShardId shard, cluster::RequestId id,
                                                             Buffer body) {
  OpenSession op = co_await wire::decode<OpenSession>(body);
  AdmitSession admit{std::move(op.client_name), {}, op.squash_root, op.volume};
  service_.env().random().fill_secret(admit.proposed.bytes);
  co_return co_await service_.propose(shard, AdmitSession::kKind, id, wire::encode(admit)).result();
}

runtime::Task<Result<Buffer>> NamespaceService::hold_open(ShardId, cluster::RequestId, Buffer body) {
  const HoldOpen op = co_await wire::decode<HoldOpen>(body);
  for (const InodeId inode : op.inodes) held_open_[{inode, op.session}] = service_.env().now();
  co_return wire::encode(Nothing{});
}

namespace {

template <class T>
void procedure(ShardService& service, const std::shared_ptr<T>& own, u16 kind,
               runtime::Task<Result<Buffer>> (T::*method)(ShardId, cluster::RequestId, Buffer)) {
  service.add_procedure(kind, [own, method](ShardId shard, cluster::RequestId id, Buffer body) {
    return (own.get()->*method)(shard, id, std::move(body));
  });
}
template <class T>
void background(ShardService& service, const std::shared_ptr<T>& own,
                runtime::Task<void> (T::*task)(ShardId, Term)) {
  service.add_leader_task([own, task](ShardId shard, Term term) { return (own.get()->*task)(shard, term); });
}

}  // namespace

void register_namespace(ShardService& service, TrashPolicy trash, SplitPolicy split) {
  const auto own = std::make_shared<NamespaceService>(service, std::move(trash));
  procedure(service, own, MakeDirectory::kKind, &NamespaceService::make_directory);
  procedure(service, own, Unlink::kKind, &NamespaceService::unlink);
  procedure(service, own, RemoveDirectory::kKind, &NamespaceService::remove_directory);
  procedure(service, own, Rename::kKind, &NamespaceService::rename);
  procedure(service, own, Link::kKind, &NamespaceService::link);
  procedure(service, own, RestoreFile::kKind, &NamespaceService::restore_file);
  procedure(service, own, CreateVolume::kKind, &NamespaceService::create_volume);
  procedure(service, own, DeleteVolume::kKind, &NamespaceService::delete_volume);
  procedure(service, own, GatherFragments::kKind, &NamespaceService::gather_fragments);
  procedure(service, own, SetAttributes::kKind, &NamespaceService::set_attributes);
  procedure(service, own, SetXattr::kKind, &NamespaceService::set_xattr);
  procedure(service, own, RemoveXattr::kKind, &NamespaceService::remove_xattr);
  procedure(service, own, OpenSession::kKind, &NamespaceService::open_session);
  procedure(service, own, HoldOpen::kKind, &NamespaceService::hold_open);
  background(service, own, &NamespaceService::format);
  background(service, own, &NamespaceService::clean_up);
  background(service, own, &NamespaceService::resolve_prepared);
  background(service, own, &NamespaceService::empty_volumes);

  const auto keeper = std::make_shared<DirectoryKeeper>(service, own->coordinator(), std::move(split));
  service.set_change_listener([own, keeper](ShardId shard, const std::vector<InodeId>& inodes) {
    keeper->note_changes(shard, inodes);
  });
  background(service, keeper, &DirectoryKeeper::tend);

  const auto quota = std::make_shared<QuotaService>(service);
  procedure(service, quota, SetQuota::kKind, &QuotaService::set_quota);
  procedure(service, quota, AskQuota::kKind, &QuotaService::ask_quota);
  procedure(service, quota, ReturnQuota::kKind, &QuotaService::return_quota);
  procedure(service, quota, QuotaState::kKind, &QuotaService::quota_state);
  procedure(service, quota, ReserveQuota::kKind, &QuotaService::reserve_quota);
  background(service, quota, &QuotaService::watch_soft_limits);
}

}  // namespace claudefs::meta
