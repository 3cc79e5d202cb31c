#include <algorithm>

#include "client/detail/state.h"
#include "meta/quota.h"

namespace claudefs::client {

namespace {

constexpr runtime::Duration kUsageValid{5'000'000'000};
constexpr u64 kBytesPerInode = 4096;  // `df -i` shows room for that many more: there is no fixed table

struct Fraction {
  u64 of = 1;
  u64 whole = 1;
};
// What erasure coding leaves of the raw capacity: the default layouts by number of nodes.
Fraction usable_share(std::size_t nodes) {
  if (nodes <= 1) return {1, 1};
  if (nodes == 2) return {1, 2};
  return {2, 3};
}

u64 scaled(u64 bytes, Fraction share) { return bytes / share.whole * share.of; }

FileSystemUsage capacity_of(const cluster::ClusterMap& map) {
  u64 total = 0, used = 0;
  for (const cluster::NodeView& node : map.nodes) {
    total += node.stats.raw_total;
    used += std::min(node.stats.raw_used, node.stats.raw_total);
  }
  const Fraction share = usable_share(map.nodes.size());
  FileSystemUsage usage;
  usage.total_bytes = scaled(total, share);
  usage.free_bytes = scaled(total - used, share);
  usage.inodes_free = usage.free_bytes / kBytesPerInode;
  return usage;
}

Task<Result<FileSystemUsage>> usage_of_cluster(State& state) {
  if (state.known_usage && state.env.now() - state.usage_at < kUsageValid) co_return *state.known_usage;
  co_await state.router.refresh();
  const meta::ShardUsageReply sum = co_await state.usage_of_all();
  FileSystemUsage usage = capacity_of(state.router.map());
  usage.inodes_used = sum.inodes;
  state.known_usage = usage;
  state.usage_at = state.env.now();
  co_return usage;
}

// What the limit leaves, where that is less.
void tighten(FileSystemUsage& usage, const meta::QuotaStateReply& quota) {
  const auto positive = [](i64 number) { return static_cast<u64>(std::max<i64>(number, 0)); };
  const meta::QuotaUse& hard = quota.limits.hard;
  if (hard.bytes != 0 && positive(hard.bytes - quota.use.bytes) <= usage.free_bytes) {
    usage.total_bytes = positive(hard.bytes);
    usage.free_bytes = positive(hard.bytes - quota.use.bytes);
  }
  if (hard.inodes != 0 && positive(hard.inodes - quota.use.inodes) <= usage.inodes_free) {
    usage.inodes_used = positive(quota.use.inodes);
    usage.inodes_free = positive(hard.inodes - quota.use.inodes);
  }
}

}  // namespace

Task<Result<FileSystemUsage>> FileSystem::usage(InodeId where) {
  State& state = *state_;
  FileSystemUsage usage = co_await usage_of_cluster(state);
  const Inode inode = co_await get_attributes(where);
  meta::QuotaSubject subject{meta::QuotaKind::volume, inode.volume, 0};
  for (InodeId next = inode.quota_directory;;) {
    const ShardId home = meta::home_of(subject, state.router.shard_count());
    const meta::QuotaStateReply quota = co_await state.ask(home, meta::QuotaState(subject));
    tighten(usage, quota);
    if (subject.kind == meta::QuotaKind::directory) next = quota.within;
    if (next == InodeId{}) co_return usage;
    subject = {meta::QuotaKind::directory, inode.volume, next.value};
  }
}

}  // namespace claudefs::client
