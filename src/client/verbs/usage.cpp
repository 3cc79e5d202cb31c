#include "client/detail/state.h"

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

Task<Result<meta::ShardUsageReply>> usage_of(State& state, ShardId shard) {
  return state.ask(shard, meta::ShardUsage{});
}

}  // namespace

Task<Result<FileSystemUsage>> FileSystem::usage() {
  State& state = *state_;
  if (state.known_usage && state.env.now() - state.usage_at < kUsageValid) co_return *state.known_usage;
  co_await state.router.refresh();
  std::vector<Task<Result<meta::ShardUsageReply>>> asked;
  for (u16 shard = 0; shard < state.router.shard_count(); ++shard)
    asked.push_back(usage_of(state, ShardId{shard}));
  std::vector<Result<meta::ShardUsageReply>> replies =
      co_await runtime::join_all(state.env.executor(), std::move(asked));
  FileSystemUsage usage = capacity_of(state.router.map());
  for (Result<meta::ShardUsageReply>& reply : replies) {
    if (!reply) co_return fail(std::move(reply.error()));
    usage.inodes_used += reply->inodes;
  }
  state.known_usage = usage;
  state.usage_at = state.env.now();
  co_return usage;
}

}  // namespace claudefs::client
