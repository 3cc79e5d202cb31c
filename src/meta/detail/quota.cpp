#include "meta/detail/quota.h"

#include <map>

#include "base/mutant.h"
#include "meta/detail/keys.h"
#include "meta/detail/records.h"

namespace claudefs::meta {

CFS_DEFINE_MUTANT(meta_quota_forgets_chown, "meta: what a file costs stays with its former owner");
CFS_DEFINE_MUTANT(meta_quota_charges_the_dead, "meta: an inode that goes is still charged for");

namespace {

constexpr u64 kBlock = 512;  // of st_blocks

}  // namespace

void add_use(ApplyContext& context, Table table, const QuotaSubject& subject, const QuotaUse& use) {
  std::string key = quota_key(table, subject);
  QuotaRecord record = context.load<QuotaRecord>(key).value_or(QuotaRecord{});
  record.use += use;
  if (record.use == QuotaUse{})
    context.remove(std::move(key));
  else
    context.store(std::move(key), record);
}

std::string to_string(const QuotaSubject& subject) {
  switch (subject.kind) {
    case QuotaKind::volume:
      return fmt::format("volume {}", subject.volume);
    case QuotaKind::user:
      return fmt::format("user {} in volume {}", subject.id, subject.volume);
    case QuotaKind::group:
      return fmt::format("group {} in volume {}", subject.id, subject.volume);
    case QuotaKind::directory:
      return fmt::format("directory {:#x}", subject.id);
  }
  return "unknown";
}

Charge charge_of(const Inode& inode) {
  const u64 bytes = (inode.allocated_bytes + kBlock - 1) / kBlock * kBlock;
  return {inode.volume, inode.uid, inode.gid, inode.quota_directory, {static_cast<i64>(bytes), 1}};
}

std::vector<QuotaSubject> subjects_of(const Charge& charge) {
  std::vector<QuotaSubject> out{{QuotaKind::volume, charge.volume, 0},
                                {QuotaKind::user, charge.volume, charge.uid},
                                {QuotaKind::group, charge.volume, charge.gid}};
  if (charge.directory != InodeId{})
    out.push_back({QuotaKind::directory, charge.volume, charge.directory.value});
  return out;
}

void charge(ApplyContext& context, InodeId inode, const Charge& before, const Charge& given) {
  Charge after = given;
  if (CFS_MUTANT(meta_quota_forgets_chown) && before.use.inodes != 0 && after.use.inodes != 0)
    after.uid = before.uid;
  if (before == after || (CFS_MUTANT(meta_quota_charges_the_dead) && after.use.inodes == 0)) return;
  std::map<QuotaSubject, QuotaUse> changes;
  if (before.use.inodes != 0)
    for (const QuotaSubject& subject : subjects_of(before)) changes[subject] += -before.use;
  if (after.use.inodes != 0)
    for (const QuotaSubject& subject : subjects_of(after)) changes[subject] += after.use;
  std::erase_if(changes, [](const auto& change) { return change.second == QuotaUse{}; });
  const std::optional<RecountRecord> recount = context.load<RecountRecord>(recount_key());
  for (const auto& [subject, use] : changes) {
    add_use(context, Table::quota_use, subject, use);
    if (recount && inode <= recount->through) add_use(context, Table::quota_recount, subject, use);
  }
}

}  // namespace claudefs::meta
