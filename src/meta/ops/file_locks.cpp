#include "meta/detail/file_locks.h"

#include <algorithm>

#include "base/mutant.h"
#include "meta/detail/keys.h"
#include "meta/detail/namespace.h"
#include "meta/detail/records.h"
#include "meta/ops/ops.h"

CFS_DEFINE_MUTANT(lock_granted_to_two, "meta: a lock is granted though another holder is in the way");

namespace claudefs::meta {
namespace {

std::vector<FileLock> locks_on(const ReadContext& context, InodeId inode) {
  std::optional<FileLocksRecord> record = context.load<FileLocksRecord>(file_locks_key(inode));
  return record ? std::move(record->locks) : std::vector<FileLock>{};
}

void store_locks(ApplyContext& context, std::string key, std::vector<FileLock> locks) {
  if (locks.empty())
    context.remove(std::move(key));
  else
    context.store(std::move(key), FileLocksRecord{std::move(locks)});
}

bool overlap(const FileLock& a, const FileLock& b) {
  return a.flock == b.flock && a.start <= b.end && b.start <= a.end;
}

}  // namespace

std::vector<FileLock> in_the_way(const std::vector<FileLock>& locks, const FileLock& wanted) {
  std::vector<FileLock> out;
  for (const FileLock& lock : locks)
    if (!same_holder(lock, wanted) && overlap(lock, wanted) && (lock.exclusive || wanted.exclusive))
      out.push_back(lock);
  return out;
}

void replace_range(std::vector<FileLock>& locks, const FileLock& lock, bool unlock) {
  std::vector<FileLock> out;
  FileLock whole = lock;
  for (const FileLock& old : locks) {
    if (!same_holder(old, lock)) {
      out.push_back(old);
      continue;
    }
    const bool touches = old.start <= (lock.end == INT64_MAX ? lock.end : lock.end + 1) &&
                         lock.start <= (old.end == INT64_MAX ? old.end : old.end + 1);
    if (!unlock && touches && old.exclusive == lock.exclusive) {
      whole.start = std::min(whole.start, old.start);
      whole.end = std::max(whole.end, old.end);
      continue;
    }
    if (!overlap(old, lock)) {
      out.push_back(old);
      continue;
    }
    if (old.start < lock.start) {
      out.push_back(old);
      out.back().end = lock.start - 1;
    }
    if (old.end > lock.end) {
      out.push_back(old);
      out.back().start = lock.end + 1;
    }
  }
  if (!unlock) out.push_back(whole);
  locks = std::move(out);
}

void drop_locks_of(ApplyContext& context, SessionId session) {
  std::vector<std::pair<std::string, std::vector<FileLock>>> changed;
  const std::string table = key_of_table(Table::file_lock);
  context.scan(table, table, [&](std::string_view key, std::string_view value) {
    Result<FileLocksRecord> record = wire::decode<FileLocksRecord>(as_bytes(value));
    CFS_CHECK(record.has_value());
    const std::size_t dropped =
        std::erase_if(record->locks, [&](const FileLock& lock) { return lock.session == session; });
    if (dropped != 0) changed.emplace_back(std::string(key), std::move(record->locks));
    return true;
  });
  for (auto& [key, locks] : changed) store_locks(context, std::move(key), std::move(locks));
}

Result<SetLockReply> apply_set_lock(ApplyContext& context, const SetLock& op) {
  FileLock lock = op.lock;
  if (lock.end < lock.start || lock.end > INT64_MAX)
    return fail(Errc::invalid_argument, "a lock's last byte");
  std::vector<FileLock> locks = locks_on(context, op.inode);
  if (!op.unlock) {
    TRY(load_inode(context, op.inode));
    std::vector<FileLock> others = in_the_way(locks, lock);
    if (!others.empty() && !CFS_MUTANT(lock_granted_to_two)) return SetLockReply{std::move(others)};
    if (locks.size() >= kLocksMax) return fail(Errc::too_big, "too many locks on one file");
  }
  replace_range(locks, lock, op.unlock);
  store_locks(context, file_locks_key(op.inode), std::move(locks));
  return SetLockReply{};
}

Result<SetLockReply> read_lock(const ReadContext& context, const TestLock& op) {
  return SetLockReply{in_the_way(locks_on(context, op.inode), op.lock)};
}

}  // namespace claudefs::meta
