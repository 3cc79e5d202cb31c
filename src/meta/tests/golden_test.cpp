// Goal: rows, commands in logs and outboxes, and messages of today can be read by what comes later.
#include "wire/tests/golden.h"
#include "meta/audit.h"
#include "meta/commands.h"
#include "meta/detail/records.h"
#include "meta/lease_operations.h"
#include "meta/operations.h"
#include "meta/shard_machine.h"
#include "meta/volumes.h"

namespace claudefs::meta {
namespace {

TEST(Golden, RowsOfMetadata) {
  wire::GoldenLines lines("meta_rows.txt");
#define ROW(T) lines.check<T>(#T)
  ROW(Inode);
  ROW(Dentry);
  ROW(Extent);
  ROW(Volume);
  ROW(AppliedRecord);
  ROW(HlcRecord);
  ROW(NumberRecord);
  ROW(SessionRecord);
  ROW(FileLocksRecord);
  ROW(DomainKeyRecord);
  ROW(InlineRecord);
  ROW(OrphanRecord);
  ROW(TrashRecord);
  ROW(QuotaRecord);
  ROW(QuotaLimitRecord);
  ROW(ReserveRecord);
  ROW(LimitedRecord);
  ROW(RecountRecord);
  ROW(FragmentRecord);
  ROW(DecisionRecord);
  ROW(CommandEntry);
  ROW(Outcome);
  ROW(QuotaNeeds);
#undef ROW
  for (std::size_t content = 1; content < std::variant_size_v<decltype(Extent::content)>; ++content)
    lines.check<Extent>(fmt::format("Extent/{}", content), content);
}

TEST(Golden, OperationsOnMetadata) {
  wire::GoldenLines lines("meta_operations.txt");
#define OPERATION(T) lines.check_with_reply<T>(#T)
  OPERATION(Lookup);
  OPERATION(GetAttributes);
  OPERATION(ReadDirectory);
  OPERATION(ReadFragments);
  OPERATION(GetExtents);
  OPERATION(GetXattr);
  OPERATION(ListXattrs);
  OPERATION(ShardUsage);
  OPERATION(ListInline);
  OPERATION(Create);
  OPERATION(CreateUnnamed);
  OPERATION(MakeDirectory);
  OPERATION(Unlink);
  OPERATION(RemoveDirectory);
  OPERATION(Rename);
  OPERATION(Link);
  OPERATION(SetAttributes);
  OPERATION(SetXattr);
  OPERATION(RemoveXattr);
  OPERATION(NoteAccessed);
  OPERATION(CommitWrite);
  OPERATION(HoldOpen);
  OPERATION(ChunkDeltas);
  OPERATION(OutboxStatus);
  OPERATION(OpenSession);
  OPERATION(Deliver);
  OPERATION(OutboxAck);
  OPERATION(FindDentry);
  OPERATION(Prepare);
  OPERATION(Decide);
  OPERATION(CommitTransaction);
  OPERATION(AbortTransaction);
  OPERATION(Resolve);
  OPERATION(GatherFragments);
  OPERATION(RecordQuota);
  OPERATION(MakeQuotaDirectory);
  OPERATION(LimitSubject);
  OPERATION(QuotaGranted);
  OPERATION(QuotaMoved);
  OPERATION(GrantQuota);
  OPERATION(AskQuota);
  OPERATION(ReturnQuota);
  OPERATION(MarkSoft);
  OPERATION(ReadQuotaRow);
  OPERATION(PurgeInodes);
  OPERATION(PurgeExtents);
  OPERATION(Expire);
  OPERATION(RewriteContents);
  OPERATION(Format);
  OPERATION(AdmitSession);
  OPERATION(AttachSession);
  OPERATION(FenceSession);
  OPERATION(AcquireLease);
  OPERATION(ReclaimLeases);
  OPERATION(SetLock);
  OPERATION(TestLock);
  OPERATION(WaitForLock);
  OPERATION(KeepAlive);
  OPERATION(Recall);
  OPERATION(LockReleased);
  OPERATION(LeaderChanged);
  OPERATION(ListVolumes);
  OPERATION(FindVolume);
  OPERATION(CreateVolume);
  OPERATION(SetVolume);
  OPERATION(DeleteVolume);
  OPERATION(VolumeGone);
  OPERATION(TellVolume);
  OPERATION(PurgeVolume);
  OPERATION(ListQuota);
  OPERATION(RecountQuota);
  OPERATION(SetQuota);
  OPERATION(QuotaState);
  OPERATION(ListLimits);
  OPERATION(ReserveQuota);
  OPERATION(ListTrash);
  OPERATION(EmptyTrash);
  OPERATION(ExpireTrash);
  OPERATION(RestoreFile);
  OPERATION(AuditInodes);
  OPERATION(AuditDentries);
  OPERATION(AuditExtents);
  OPERATION(AuditPending);
  OPERATION(RepairInode);
  OPERATION(RepairDentry);
#undef OPERATION
}

}  // namespace
}  // namespace claudefs::meta
