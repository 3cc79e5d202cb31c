// What each subject of quotas is charged in this shard.
#pragma once

#include <vector>

#include "meta/detail/keys.h"
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
std::vector<QuotaSubject> subjects_of(const Charge& charge);

// `inode` goes from `before` to `after`: called for every change of an inode, and by nobody else.
void charge(ApplyContext& context, InodeId inode, const Charge& before, const Charge& after);

// Sums of a table of them: quota_use, or quota_recount.
void add_use(ApplyContext& context, Table table, const QuotaSubject& subject, const QuotaUse& use);

}  // namespace claudefs::meta
