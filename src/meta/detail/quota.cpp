#include "meta/detail/quota.h"

#include <algorithm>
#include <map>

#include "base/mutant.h"
#include "base/probe.h"
#include "meta/commands.h"
#include "meta/hlc.h"
#include "meta/names.h"

namespace claudefs::meta {

CFS_DEFINE_MUTANT(meta_quota_forgets_chown, "meta: what a file costs stays with its former owner");
CFS_DEFINE_MUTANT(meta_quota_charges_the_dead, "meta: an inode that goes is still charged for");
CFS_DEFINE_MUTANT(meta_quota_not_asked, "meta: a shard uses more than its part of a limit");
CFS_DEFINE_MUTANT(meta_quota_reserve_stays, "meta: what a commit takes of a reservation stays reserved");

namespace {

constexpr i64 kBlock = 512;  // of st_blocks
// What clients took before they heard of a limit is not refused: they trust what they know for 8 s.
constexpr u64 kUnheard = 10'000;  // milliseconds

i64 positive(i64 value) { return std::max<i64>(value, 0); }

// `change` happens to one subject. What it lacks is refused, or held from now on. `unaware`: it may have
// been taken by a client that had not heard of the limit.
void change_use(ApplyContext& context, const QuotaSubject& subject, const QuotaUse& change, bool refusable,
                bool unaware) {
  QuotaRecord record = load_quota(context, subject);
  QuotaUse lack = lack_of(record, {positive(change.bytes), positive(change.inodes)});
  record.use += change;
  if (change.bytes <= 0) lack.bytes = 0;
  if (change.inodes <= 0) lack.inodes = 0;
  if (!lack.is_nothing() && !CFS_MUTANT(meta_quota_not_asked)) {
    const bool unheard =
        unaware && lack.inodes == 0 && context.hlc() <= hlc_after(record.limited_since, kUnheard);
    if (!refusable || unheard || !context.lacks(subject, lack)) {
      record.allowed += lack;
      context.emit(home_of(subject, context.shard_count()), QuotaMoved{subject, lack});
    }
  }
  store_quota(context, subject, record);
}

void change_reserved(ApplyContext& context, const ReserveRecord& reserve, i64 change) {
  for (const QuotaSubject& subject : reserve.subjects) {
    QuotaRecord record = load_quota(context, subject);
    record.reserved += change;
    store_quota(context, subject, record);
  }
}

void drop_reserve_at(ApplyContext& context, std::string key) {
  const std::optional<ReserveRecord> reserve = context.load<ReserveRecord>(key);
  if (!reserve) return;
  change_reserved(context, *reserve, -reserve->bytes);
  context.remove(std::move(key));
}

// What the sender has set aside for this inode is used first.
void use_reserve(ApplyContext& context, InodeId inode, i64 growth) {
  const std::string key = reserve_key(inode, context.request().session);
  std::optional<ReserveRecord> reserve = context.load<ReserveRecord>(key);
  if (!reserve) return;
  const i64 taken = std::min(growth, reserve->bytes);
  if (!CFS_MUTANT(meta_quota_reserve_stays)) change_reserved(context, *reserve, -taken);
  reserve->bytes -= taken;
  context.store(key, *reserve);
  // That was for rounding up.
  if (reserve->bytes <= kBlock) drop_reserve_at(context, key);
}

void drop_reserves_on(ApplyContext& context, InodeId inode) {
  std::vector<std::string> keys;
  const std::string prefix = reserves_key(inode);
  context.scan(prefix, prefix, [&](std::string_view key, std::string_view) {
    keys.emplace_back(key);
    return true;
  });
  for (std::string& key : keys) drop_reserve_at(context, std::move(key));
}

bool same_subjects(const Charge& a, const Charge& b) {
  return a.volume == b.volume && a.uid == b.uid && a.gid == b.gid && a.directory == b.directory;
}

}  // namespace

ShardId home_of(const QuotaSubject& subject, u16 shard_count) {
  const u64 hash = hash_of_name(quota_key(Table::quota_limit, subject));
  return ShardId{static_cast<u16>(hash % shard_count)};
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
  if (is_fragment(inode)) return {};
  const i64 bytes = static_cast<i64>(inode.allocated_bytes + kBlock - 1) / kBlock * kBlock;
  return {inode.volume, inode.uid, inode.gid, inode.quota_directory, {bytes, 1}};
}

std::vector<QuotaSubject> subjects_of(const ReadContext& context, const Charge& charge) {
  std::vector<QuotaSubject> out{{QuotaKind::volume, charge.volume, 0},
                                {QuotaKind::user, charge.volume, charge.uid},
                                {QuotaKind::group, charge.volume, charge.gid}};
  for (InodeId at = charge.directory; at != InodeId{};) {
    const QuotaSubject subject{QuotaKind::directory, charge.volume, at.value};
    if (std::ranges::find(out, subject) != out.end()) break;  // a circle, which only a bad message makes
    out.push_back(subject);
    at = load_quota(context, out.back()).within;
  }
  return out;
}

QuotaRecord load_quota(const ReadContext& context, const QuotaSubject& subject) {
  return context.load<QuotaRecord>(quota_key(Table::quota_use, subject)).value_or(QuotaRecord{});
}

void store_quota(ApplyContext& context, const QuotaSubject& subject, const QuotaRecord& record) {
  std::string key = quota_key(Table::quota_use, subject);
  if (record.is_needed())
    context.store(std::move(key), record);
  else
    context.remove(std::move(key));
}

QuotaUse lack_of(const QuotaRecord& record, const QuotaUse& use) {
  const i64 bytes = record.use.bytes + record.reserved + use.bytes - record.allowed.bytes;
  const i64 inodes = record.use.inodes + use.inodes - record.allowed.inodes;
  return {record.bytes_limited ? positive(bytes) : 0, record.inodes_limited ? positive(inodes) : 0};
}

QuotaUse unused_of(const QuotaRecord& record) {
  const i64 bytes = record.allowed.bytes - record.use.bytes - record.reserved;
  const i64 inodes = record.allowed.inodes - record.use.inodes;
  return {record.bytes_limited ? positive(bytes) : 0, record.inodes_limited ? positive(inodes) : 0};
}

void add_use(ApplyContext& context, Table table, const QuotaSubject& subject, const QuotaUse& use) {
  if (table == Table::quota_use) return change_use(context, subject, use, false, false);
  const std::string key = quota_key(table, subject);
  QuotaRecord record = context.load<QuotaRecord>(key).value_or(QuotaRecord{});
  record.use += use;
  context.store(key, record);
}

void charge(ApplyContext& context, InodeId inode, const Charge& before, const Charge& given) {
  Charge after = given;
  if (CFS_MUTANT(meta_quota_forgets_chown) && before.use.inodes != 0 && after.use.inodes != 0)
    after.uid = before.uid;
  if (before == after || (CFS_MUTANT(meta_quota_charges_the_dead) && after.use.inodes == 0)) return;
  bool taken_before = false;  // by a client that may not have heard of limits
  std::vector<QuotaSubject> reserved;
  if (before.use.inodes != 0 && context.get(limited_key())) {
    taken_before = same_subjects(before, after);
    if (const auto held = context.load<ReserveRecord>(reserve_key(inode, context.request().session)))
      reserved = held->subjects;
    if (!same_subjects(before, after))
      drop_reserves_on(context, inode);
    else if (after.use.bytes > before.use.bytes)
      use_reserve(context, inode, after.use.bytes - before.use.bytes);
  }
  std::map<QuotaSubject, QuotaUse> changes;
  if (before.use.inodes != 0)
    for (const QuotaSubject& subject : subjects_of(context, before)) changes[subject] += -before.use;
  if (after.use.inodes != 0)
    for (const QuotaSubject& subject : subjects_of(context, after)) changes[subject] += after.use;
  std::erase_if(changes, [](const auto& change) { return change.second.is_nothing(); });
  const std::optional<RecountRecord> recount = context.load<RecountRecord>(recount_key());
  for (const auto& [subject, use] : changes) {
    // What is set aside for one subject may have been taken before another was limited.
    const bool unaware = taken_before && std::ranges::find(reserved, subject) == reserved.end();
    change_use(context, subject, use, true, unaware);
    if (recount && inode <= recount->through) add_use(context, Table::quota_recount, subject, use);
  }
}

void expect_inode(ApplyContext& context, const Inode& inode) {
  const Charge charge = charge_of(inode);
  for (const QuotaSubject& subject : subjects_of(context, charge)) {
    const QuotaUse lack = lack_of(load_quota(context, subject), charge.use);
    if (!lack.is_nothing()) (void)context.lacks(subject, lack);
  }
}

std::vector<QuotaSubject> limited_in_bytes(const ReadContext& context, const Charge& charge) {
  std::vector<QuotaSubject> out = subjects_of(context, charge);
  std::erase_if(out,
                [&](const QuotaSubject& subject) { return !load_quota(context, subject).bytes_limited; });
  return out;
}

void drop_reserve(ApplyContext& context, InodeId inode, SessionId session) {
  drop_reserve_at(context, reserve_key(inode, session));
}

void drop_reserves_of(ApplyContext& context, SessionId session) {
  std::vector<std::string> keys;
  const std::string prefix = key_of_table(Table::quota_reserve);
  context.scan(prefix, prefix, [&](std::string_view key, std::string_view) {
    if (SessionId{number_in(key, 9)} == session) keys.emplace_back(key);
    return true;
  });
  for (std::string& key : keys) drop_reserve_at(context, std::move(key));
}

}  // namespace claudefs::meta
