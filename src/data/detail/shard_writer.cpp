#include "data/detail/shard_writer.h"

#include "base/mutant.h"
#include "data/detail/compute.h"
#include "data/detail/placement.h"
#include "data/messages.h"

namespace claudefs::data {

CFS_DEFINE_MUTANT(data_seal_loses_a_shard, "data: a segment is sealed although a shard was not written");

using namespace std::chrono_literals;
using runtime::Task;

Task<Result<std::vector<Buffer>>> encode_segment(runtime::Env& env, Layout layout,
                                                 std::vector<Buffer> pieces) {
  struct Work {
    codec::ErasureCode code;
    std::vector<Buffer> pieces;
    std::vector<Buffer> shards;
  };
  auto work = std::make_shared<Work>(Work{
      co_await codec::ErasureCode::create(layout.data_shards, layout.parity_shards), std::move(pieces), {}});
  u64 bytes = 0;
  for (const Buffer& piece : work->pieces) bytes += piece.size();
  co_await compute(env, 1, bytes, [work, bytes](std::size_t) {
    Buffer whole = Buffer::allocate(bytes);
    std::size_t at = 0;
    for (const Buffer& piece : work->pieces) {
      std::memcpy(whole.data() + at, piece.data(), piece.size());
      at += piece.size();
    }
    work->shards = work->code.encode(whole);
  });
  co_return std::move(work->shards);
}

static Task<Result<void>> write_shard(Nodes& nodes, NodeId node, store::ShardKey key, Buffer shard,
                                      runtime::Duration timeout) {
  ShardWrite message;
  message.key = key;
  co_await nodes.call(node, message, timeout, std::move(shard));
  co_return Result<void>();
}

Task<std::vector<ShardFailure>> write_shards(runtime::Env& env, Nodes& nodes, ShardTarget target,
                                             std::vector<Buffer> shards, runtime::Duration timeout) {
  CFS_CHECK(shards.size() == target.nodes.size());
  std::vector<Task<Result<void>>> writes;
  for (std::size_t i = 0; i < shards.size(); ++i) {
    const store::ShardKey key{target.segment, static_cast<u8>(i), target.generation};
    writes.push_back(write_shard(nodes, target.nodes[i], key, std::move(shards[i]), timeout));
  }
  std::vector<Result<void>> results = co_await runtime::join_all(env.executor(), std::move(writes));
  std::vector<ShardFailure> failures;
  for (std::size_t i = 0; i < results.size(); ++i)
    if (!results[i] && !CFS_MUTANT(data_seal_loses_a_shard))
      failures.push_back({target.nodes[i], std::move(results[i].error())});
  co_return failures;
}

static Task<void> remove_from(Nodes& nodes, NodeId node, ShardRemove message) {
  (void)co_await nodes.call(node, std::move(message), 5s).result();
}

Task<void> remove_shards(runtime::Env& env, Nodes& nodes, std::vector<ShardTarget> targets) {
  std::map<NodeId, ShardRemove> messages;
  for (const ShardTarget& target : targets)
    for (std::size_t i = 0; i < target.nodes.size(); ++i)
      messages[target.nodes[i]].keys.push_back({target.segment, static_cast<u8>(i), target.generation});
  std::vector<Task<void>> removals;
  for (auto& [node, message] : messages)
    if (nodes.usable(node)) removals.push_back(remove_from(nodes, node, std::move(message)));
  co_await runtime::join_all(env.executor(), std::move(removals));
}

}  // namespace claudefs::data
