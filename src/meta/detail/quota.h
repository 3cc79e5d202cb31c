// What each subject of quotas is charged in this shard, and what it may be.
#pragma once

#include <vector>

#include "meta/detail/keys.h"
#include "meta/detail/records.h"
#include "meta/shard_machine.h"

namespace claudefs::meta {

// What one inode costs, and whom. Nothing is charged for what is not there.
struct Charge {
  VolumeId volume{};
  u32 uid = 0;
  u32 gid = 0;
  InodeId directory{};
  QuotaUse use;
  bool operator==(const Charge&) const = default;
};
Charge charge_of(const Inode& inode);
// Directories with quotas in one another are all charged.
std::vector<QuotaSubject> subjects_of(const ReadContext& context, const Charge& charge);

// `inode` goes from `before` to `after`: called for every change of an inode, and by nobody else. What grows
// beyond what the shard holds is refused (ApplyContext::lacks), or held from now on where it cannot be.
void charge(ApplyContext& context, InodeId inode, const Charge& before, const Charge& after);
// Refuses what charge() would refuse for a new inode, which comes later.
void expect_inode(ApplyContext& context, const Inode& inode);

// Sums of a table of them: quota_use, or quota_recount. What grows is held.
void add_use(ApplyContext& context, Table table, const QuotaSubject& subject, const QuotaUse& use);

QuotaRecord load_quota(const ReadContext& context, const QuotaSubject& subject);
// At its home shard: none where nothing limits it.
QuotaLimitRecord load_limit(const ReadContext& context, const QuotaSubject& subject);
void store_quota(ApplyContext& context, const QuotaSubject& subject, const QuotaRecord& record);
// What the subject lacks in this shard for `use` more, where it is limited.
QuotaUse lack_of(const QuotaRecord& record, const QuotaUse& use);
// Of this shard's part: held, and neither used nor reserved.
QuotaUse unused_of(const QuotaRecord& record);

// Those who are charged for the inode and have a limit on bytes.
std::vector<QuotaSubject> limited_in_bytes(const ReadContext& context, const Charge& charge);
void drop_reserve(ApplyContext& context, InodeId inode, SessionId session);
void drop_reserves_of(ApplyContext& context, SessionId session);

}  // namespace claudefs::meta
