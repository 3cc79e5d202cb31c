// The operations of the namespace on one shard's state, one file a verb. Commands and queries are registered
// by register.cpp. Plans are what verbs that may span shards come down to.
#pragma once

#include <functional>

#include "meta/commands.h"
#include "meta/detail/parts.h"
#include "meta/lease_operations.h"
#include "meta/operations.h"
#include "meta/quota.h"
#include "meta/trash.h"
#include "meta/volumes.h"

namespace claudefs::meta {

// queries
Result<InodeReply> read_lookup(const ReadContext& context, const Lookup& op);
Result<InodeReply> read_attributes(const ReadContext& context, const GetAttributes& op);
Result<ReadFragments::Reply> read_fragments(const ReadContext& context, const ReadFragments& op);
Result<ReadDirectoryReply> read_directory(const ReadContext& context, const ReadDirectory& op);
Result<GetExtentsReply> read_extents(const ReadContext& context, const GetExtents& op);
Result<XattrReply> read_xattr(const ReadContext& context, const GetXattr& op);
Result<ListXattrsReply> read_xattr_names(const ReadContext& context, const ListXattrs& op);
Result<ShardUsageReply> read_usage(const ReadContext& context, const ShardUsage& op);
Result<ListInlineReply> read_inline(const ReadContext& context, const ListInline& op);
Result<FindDentryReply> read_dentry(const ReadContext& context, const FindDentry& op);
Result<ListTrashReply> read_trash(const ReadContext& context, const ListTrash& op);
Result<ListQuotaReply> read_quota(const ReadContext& context, const ListQuota& op);
Result<ListVolumesReply> read_volumes(const ReadContext& context, const ListVolumes& op);
Result<Volume> read_volume(const ReadContext& context, const FindVolume& op);
Result<ListLimitsReply> read_limits(const ReadContext& context, const ListLimits& op);
Result<ReadQuotaRow::Reply> read_quota_row(const ReadContext& context, const ReadQuotaRow& op);

// commands. Errc::cross_device from those that have a plan: it spans shards, use a transaction.
Result<InodeReply> apply_create(ApplyContext& context, const Create& op);
Result<InodeReply> apply_create_unnamed(ApplyContext& context, const CreateUnnamed& op);
Result<Nothing> apply_note_accessed(ApplyContext& context, const NoteAccessed& op);
Result<InodeReply> apply_make_directory(ApplyContext& context, const MakeDirectory& op);
Result<UnlinkReply> apply_unlink(ApplyContext& context, const Unlink& op);
Result<UnlinkReply> apply_remove_directory(ApplyContext& context, const RemoveDirectory& op);
Result<RenameReply> apply_rename(ApplyContext& context, const Rename& op);
Result<InodeReply> apply_link(ApplyContext& context, const Link& op);
Result<InodeReply> apply_set_attributes(ApplyContext& context, const SetAttributes& op);
Result<Nothing> apply_set_xattr(ApplyContext& context, const SetXattr& op);
Result<Nothing> apply_remove_xattr(ApplyContext& context, const RemoveXattr& op);
Result<InodeReply> apply_commit_write(ApplyContext& context, const CommitWrite& op);
Result<RewriteContents::Reply> apply_rewrite_contents(ApplyContext& context, const RewriteContents& op);
Result<OutboxStatusReply> apply_outbox_status(ApplyContext& context, const OutboxStatus& op);
Result<Nothing> apply_outbox_ack(ApplyContext& context, const OutboxAck& op);
Result<OpenSessionReply> apply_admit_session(ApplyContext& context, const AdmitSession& op);
Result<Nothing> apply_format(ApplyContext& context, const Format& op);
Result<Nothing> apply_purge_inodes(ApplyContext& context, const PurgeInodes& op);
Result<PurgeReply> apply_purge_extents(ApplyContext& context, const PurgeExtents& op);
Result<PurgeReply> apply_expire(ApplyContext& context, const Expire& op);
Result<EmptyTrashReply> apply_empty_trash(ApplyContext& context, const EmptyTrash& op);
Result<Nothing> apply_expire_trash(ApplyContext& context, const ExpireTrash& op);
Result<InodeReply> apply_restore_file(ApplyContext& context, const RestoreFile& op);
Result<RecountQuotaReply> apply_recount_quota(ApplyContext& context, const RecountQuota& op);
Result<RecordQuota::Reply> apply_record_quota(ApplyContext& context, const RecordQuota& op);
Result<GrantQuota::Reply> apply_grant_quota(ApplyContext& context, const GrantQuota& op);
Result<Nothing> apply_quota_moved(ApplyContext& context, const QuotaMoved& op);
Result<Nothing> apply_mark_soft(ApplyContext& context, const MarkSoft& op);
Result<Nothing> apply_make_quota_directory(ApplyContext& context, const MakeQuotaDirectory& op);
Result<Nothing> apply_limit_subject(ApplyContext& context, const LimitSubject& op);
Result<Nothing> apply_quota_granted(ApplyContext& context, const QuotaGranted& op);
Result<ReturnQuota::Reply> apply_return_quota(ApplyContext& context, const ReturnQuota& op);
Result<ReserveQuotaReply> apply_reserve_quota(ApplyContext& context, const ReserveQuota& op);

Result<Volume> apply_create_volume(ApplyContext& context, const CreateVolume& op);
Result<Volume> apply_delete_volume(ApplyContext& context, const DeleteVolume& op);
Result<Volume> apply_set_volume(ApplyContext& context, const SetVolume& op);
Result<Nothing> apply_tell_volume(ApplyContext& context, const TellVolume& op);
Result<PurgeVolumeReply> apply_purge_volume(ApplyContext& context, const PurgeVolume& op);
Result<Nothing> apply_volume_gone(ApplyContext& context, const VolumeGone& op);

Result<Nothing> apply_attach_session(ApplyContext& context, const AttachSession& op);
Result<Nothing> apply_fence_session(ApplyContext& context, const FenceSession& op);
Result<SetLockReply> apply_set_lock(ApplyContext& context, const SetLock& op);
Result<SetLockReply> read_lock(const ReadContext& context, const TestLock& op);

// The parts of an operation, and how its answer follows from the inodes that they leave.
template <class R>
struct Plan {
  using Reply = R;
  std::vector<Part> parts;
  std::function<Reply(const After&)> answer;
  // Directories that change their parent: `from` must not contain `to`.
  struct Move {
    InodeId directory{};
    InodeId below{};
  };
  std::vector<Move> moves;
};
// `now`: the stamp that inodes get.
Result<Plan<InodeReply>> plan_make_directory(const ReadContext& context, const MakeDirectory& op, u32 attempt,
                                             Time now);
Result<Plan<UnlinkReply>> plan_unlink(const ReadContext& context, const Unlink& op, Time now);
Result<Plan<UnlinkReply>> plan_remove_directory(const ReadContext& context, const RemoveDirectory& op,
                                                Time now);
Result<Plan<Volume>> plan_create_volume(const ReadContext& context, const CreateVolume& op, u32 attempt,
                                        Time now);
Result<Plan<Volume>> plan_delete_volume(const ReadContext& context, const DeleteVolume& op, Time now);
// One more name for what is no directory; `of_inode` is what that does to the inode.
struct NewName {
  InodeId parent{};
  std::string name;
  Caller caller;
};
Result<Plan<InodeReply>> plan_new_name(const ReadContext& context, const NewName& name, const Inode& inode,
                                       Part of_inode);
// Of a split directory: its fragments follow. Xattrs: access control lists only.
Result<Plan<InodeReply>> plan_set_directory(const ReadContext& context, const SetAttributes& op, Time now);
Result<Plan<Nothing>> plan_set_list(const ReadContext& context, const SetXattr& op, Time now);
Result<Plan<Nothing>> plan_remove_list(const ReadContext& context, const RemoveXattr& op, Time now);
Result<Plan<InodeReply>> plan_link(const ReadContext& context, const Link& op, const Inode& inode, Time now);
Result<Plan<InodeReply>> plan_restore_file(const ReadContext& context, const RestoreFile& op,
                                           const Inode& inode, Time now);
// `there_is`: the new parent, and what the new name has; the new parent may live in another shard.
Result<Plan<RenameReply>> plan_rename(const ReadContext& context, const Rename& op,
                                      const FindDentryReply& there_is, Time now);

// All records of an inode; its extents go to the purge list.
void forget_inode(ApplyContext& context, const Inode& inode);

// Performs a plan in the command that made it.
template <class Reply>
Result<Reply> run_plan(ApplyContext& context, const Plan<Reply>& plan) {
  if (!all_local(context, plan.parts)) return fail(Errc::cross_device, "it spans shards");
  TRY_ASSIGN(const After after, run_parts(context, plan.parts));
  return plan.answer(after);
}

}  // namespace claudefs::meta
