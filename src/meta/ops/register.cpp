#include "meta/audit.h"
#include "meta/ops/ops.h"
#include "meta/shard_service.h"
#include "meta/txn/txn.h"

namespace claudefs::meta {

void register_namespace(OperationTable& table) {
  table.query<Lookup>(read_lookup);
  table.query<GetAttributes>(read_attributes);
  table.query<ReadDirectory>(read_directory);
  table.query<ReadFragments>(read_fragments);
  table.query<GetExtents>(read_extents);
  table.query<GetXattr>(read_xattr);
  table.query<ListXattrs>(read_xattr_names);
  table.query<ShardUsage>(read_usage);
  table.query<ListInline>(read_inline);
  table.query<FindDentry>(read_dentry);
  table.query<ListTrash>(read_trash);
  table.query<ListQuota>(read_quota);
  table.query<ListVolumes>(read_volumes);
  table.query<FindVolume>(read_volume);
  table.query<ListLimits>(read_limits);
  table.query<ReadQuotaRow>(read_quota_row);

  table.command<Create>(apply_create);
  table.command<CreateUnnamed>(apply_create_unnamed);
  table.command<NoteAccessed>(apply_note_accessed);
  table.command<MakeDirectory>(apply_make_directory);
  table.command<Unlink>(apply_unlink);
  table.command<RemoveDirectory>(apply_remove_directory);
  table.command<Rename>(apply_rename);
  table.command<Link>(apply_link);
  table.command<SetAttributes>(apply_set_attributes);
  table.command<SetXattr>(apply_set_xattr);
  table.command<RemoveXattr>(apply_remove_xattr);
  table.command<CommitWrite>(apply_commit_write);
  table.command<RewriteContents>(apply_rewrite_contents);
  table.command<OutboxStatus>(apply_outbox_status);
  table.command<OutboxAck>(apply_outbox_ack);
  table.command<AdmitSession>(apply_admit_session);
  table.command<Format>(apply_format);
  table.command<PurgeInodes>(apply_purge_inodes);
  table.command<PurgeExtents>(apply_purge_extents);
  table.command<Expire>(apply_expire);
  table.command<EmptyTrash>(apply_empty_trash);
  table.command<ExpireTrash>(apply_expire_trash);
  table.command<RestoreFile>(apply_restore_file);
  table.command<RecountQuota>(apply_recount_quota);
  table.command<CreateVolume>(apply_create_volume);
  table.command<DeleteVolume>(apply_delete_volume);
  table.command<SetVolume>(apply_set_volume);
  table.command<TellVolume>(apply_tell_volume);
  table.command<PurgeVolume>(apply_purge_volume);
  table.command<VolumeGone>(apply_volume_gone);
  table.command<RecordQuota>(apply_record_quota);
  table.command<GrantQuota>(apply_grant_quota);
  table.command<QuotaMoved>(apply_quota_moved);
  table.command<MarkSoft>(apply_mark_soft);
  table.command<LimitSubject>(apply_limit_subject);
  table.command<MakeQuotaDirectory>(apply_make_quota_directory);
  table.command<QuotaGranted>(apply_quota_granted);
  table.command<ReturnQuota>(apply_return_quota);
  table.command<ReserveQuota>(apply_reserve_quota);
  table.query<TestLock>(read_lock);
  table.command<AttachSession>(apply_attach_session);
  table.command<FenceSession>(apply_fence_session);
  table.command<SetLock>(apply_set_lock);
  register_transactions(table);
  register_audit(table);
}

}  // namespace claudefs::meta
