// Where the cluster is full but for what is in its trash, the trash gives way.
#include "base/log.h"
#include "client/detail/state.h"

namespace claudefs::client {
namespace {

using namespace std::chrono_literals;

constexpr runtime::Duration kReclaimedWithin = 60s;  // what has left the trash is free by then

}  // namespace

Task<Result<meta::ShardUsageReply>> State::usage_of_all() {
  std::vector<Task<Result<meta::ShardUsageReply>>> asked;
  for (u16 shard = 0; shard < router.shard_count(); ++shard)
    asked.push_back(ask(ShardId{shard}, meta::ShardUsage{}));
  std::vector<Result<meta::ShardUsageReply>> replies =
      co_await runtime::join_all(env.executor(), std::move(asked));
  meta::ShardUsageReply sum;
  for (Result<meta::ShardUsageReply>& reply : replies) {
    if (!reply) co_return fail(std::move(reply.error()));
    sum.inodes += reply->inodes;
    sum.trashed_bytes += reply->trashed_bytes;
  }
  co_return sum;
}

Task<Result<data::StoredChunks>> State::store(std::vector<Buffer> chunks) {
  std::optional<u64> in_trash;
  runtime::Instant give_up{};
  for (;;) {
    const std::shared_ptr<data::ChunkIo> io = chunk_io;
    Result<data::StoredChunks> stored = co_await io->store(chunks).result();
    if (stored || stored.error().code != Errc::no_space) co_return stored;
    const Result<meta::ShardUsageReply> usage = co_await usage_of_all().result();
    if (!usage || (!in_trash && usage->trashed_bytes == 0)) co_return stored;
    if (!in_trash)
      log::warn("client", "the cluster is full; writes wait for its trash to be emptied",
                {log::kv("trashed_bytes", usage->trashed_bytes)});
    if (!in_trash || usage->trashed_bytes < *in_trash) give_up = env.now() + kReclaimedWithin;
    in_trash = usage->trashed_bytes;
    if (env.now() >= give_up || stopping.is_set()) co_return stored;
    co_await env.executor().sleep(1s);
  }
}

}  // namespace claudefs::client
