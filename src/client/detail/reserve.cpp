// Quotas and what is buffered: docs/quotas.md.
#include "base/mutant.h"
#include "client/detail/state.h"
#include "meta/quota.h"

namespace claudefs::client {

CFS_DEFINE_MUTANT(client_reserve_outlives_limits,
                  "client: what was set aside of one limit counts for one that came later");
CFS_DEFINE_MUTANT(client_buffers_beyond_quota, "client: a write is taken before its bytes are reserved");

namespace {

constexpr u64 kRounding = 512;  // charges are in blocks
constexpr u64 kAheadFirst = 64_KiB;
constexpr u64 kAheadMost = 16_MiB;

std::tuple<VolumeId, u32, u32, InodeId> owners_of(const Inode& inode) {
  return {inode.volume, inode.uid, inode.gid, inode.quota_directory};
}

}  // namespace

State::Unlimited& State::unlimited_in(ShardId shard) {
  Unlimited& known = unlimited[shard];
  if (const meta::Hlc now = leases->limited_at(shard); known.as_of != now) known = {now, {}};
  return known;
}

bool State::is_reserved(const OpenFile& file, u64 bytes) {
  if (leases == nullptr || CFS_MUTANT(client_buffers_beyond_quota)) return true;
  const ShardId shard = file.id().shard();
  if (leases->limited_at(shard) == meta::Hlc{}) return true;
  if (unlimited_in(shard).owners.contains(owners_of(file.attributes))) return true;
  if (file.reserved_as_of != leases->limited_at(shard) && !CFS_MUTANT(client_reserve_outlives_limits))
    return false;
  return file.dirty.bytes() + file.flushing.bytes() + bytes + kRounding <= file.reserved;
}

Task<Result<bool>> State::reserve(FilePtr file, u64 bytes) {
  auto lock = co_await file->reserve_lock.lock();
  const runtime::Instant began = env.now();
  bool flushed = false;
  while (!is_reserved(*file, bytes)) {
    // What was taken before anybody had a limit is committed as such.
    if (file->dirty.bytes() + file->flushing.bytes() > file->reserved) {
      co_await flush(file, FlushMode::everything);
      continue;
    }
    const ShardId shard = file->id().shard();
    if (file->reserved != 0 && file->reserved_as_of != leases->limited_at(shard)) {
      // What was taken on the strength of it is committed as what was taken before the new limit.
      co_await flush(file, FlushMode::everything);
      co_await give_back_reserve(file);
      continue;
    }
    meta::ReserveQuota op;
    op.inode = file->id();
    op.least = file->dirty.bytes() + file->flushing.bytes() + bytes + kRounding - file->reserved;
    op.most = op.least + file->reserve_ahead;
    const SessionId used = session;
    const meta::Hlc as_of = leases->limited_at(shard);
    const auto owners = owners_of(file->attributes);
    const Result<meta::ReserveQuotaReply> reply = co_await command(shard, std::move(op)).result();
    if (!reply && reply.error().code == Errc::quota_exceeded) {
      file->has_reserve = true;
      if (flushed || !file->has_dirty_bytes()) co_return false;
      // Then the write that follows is alone in its commit.
      flushed = true;
      co_await flush(file, FlushMode::everything);
      continue;
    }
    if (!reply) {
      const bool again = co_await may_try_again(began, reply.error());
      if (!again) co_return fail(reply.error());
      continue;
    }
    file->has_reserve |= reply->limited;
    // Under which session it was done is not known: what the new one holds goes back before it is asked
    // again.
    if (session != used) continue;
    if (!reply->limited && as_of == leases->limited_at(shard)) unlimited_in(shard).owners.insert(owners);
    file->reserved += reply->bytes;
    file->reserved_as_of = as_of;
    file->reserve_ahead = std::min(kAheadMost, std::max(kAheadFirst, 2 * file->reserve_ahead));
  }
  co_return true;
}

void State::use_reserve(OpenFile& file, u64 bytes, const Inode& after) {
  if (!file.has_reserve) return;
  file.reserve_exact &= after.allocated_bytes == file.attributes.allocated_bytes + bytes;
  file.reserved -= std::min(file.reserved, bytes);
  // The shard forgets a rest of less than a block, and what we know of may be a block more than it has.
  if (file.reserved >= 2 * kRounding) return;
  file.reserved = 0;
  if (file.reserve_exact) file.has_reserve = false;
}

Task<void> State::release_reserve(FilePtr file) {
  auto lock = co_await file->reserve_lock.lock();
  if (file->has_reserve && !file->has_dirty_bytes()) co_await give_back_reserve(file);
}

Task<void> State::give_back_reserve(FilePtr file) {
  file->reserved = 0;
  file->has_reserve = false;
  file->reserve_exact = true;
  meta::ReserveQuota op;
  op.inode = file->id();
  op.release = true;
  // If it fails the session is over, or the shard will be told by its end.
  (void)co_await command(file->id().shard(), std::move(op)).result();
}

}  // namespace claudefs::client
