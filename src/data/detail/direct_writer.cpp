#include "data/detail/direct_writer.h"

#include <algorithm>

#include "data/detail/placement.h"

namespace claudefs::data {

using namespace std::chrono_literals;
using runtime::Task;

constexpr runtime::Duration kShardWriteTimeout = 10s;

std::vector<NodeId> PlaceSearch::candidates() const {
  std::vector<NodeId> out = nodes_.writable();
  std::erase_if(out, [this](NodeId node) { return full_.contains(node); });
  std::vector<NodeId> willing = out;
  std::erase_if(willing, [this](NodeId node) { return failed_.contains(node); });
  return widest_layout(willing.size(), nodes_.total()) ? willing : out;
}

void PlaceSearch::note(const std::vector<ShardFailure>& failures) {
  failed_.clear();
  for (const ShardFailure& failure : failures) {
    (failure.error.code == Errc::no_space ? full_ : failed_).insert(failure.node);
    last_ = Error{Errc::unavailable,
                  fmt::format("write to node {}: {}", failure.node, failure.error.to_string())};
  }
}

Task<Result<void>> PlaceSearch::next_round() {
  // Waiting helps against nodes that are away, not against full ones.
  if (!full_.empty() && !widest_layout(nodes_.total() - full_.size(), nodes_.total()))
    co_return fail(Errc::no_space, fmt::format("{} of {} nodes are full; delete files or add a node",
                                               full_.size(), nodes_.total()));
  if (env_.now() >= deadline_) co_return fail(last_);
  co_await nodes_.refresh();
  // At once after the first failure: the others are there.
  const runtime::Duration pause = rounds_ == 0 ? 0ms : std::min<runtime::Duration>(50ms * rounds_, 1s);
  ++rounds_;
  co_await env_.executor().sleep(pause);
  co_return Result<void>();
}

Task<Result<WrittenSegment>> DirectWriter::write(std::vector<Buffer> pieces) {
  u32 length = 0;
  for (const Buffer& piece : pieces) length += static_cast<u32>(piece.size());
  PlaceSearch search(env_, nodes_);
  std::optional<Granted> granted;
  Layout encoded_as{0, 0};
  std::vector<Buffer> shards;
  u32 generation = 0;
  for (;;) {
    const std::vector<NodeId> candidates = search.candidates();
    const std::optional<Layout> layout = widest_layout(candidates.size(), nodes_.total());
    if (!layout) {
      co_await search.next_round();
      continue;
    }
    if (!granted || env_.now() - granted->known_at > 2 * SegmentPool::kFresh) {
      granted = co_await pool_.take();
      generation = 0;
    }
    if (*layout != encoded_as) {
      shards = co_await encode_segment(env_, *layout, pieces);
      encoded_as = *layout;
    }
    // Every attempt has its own generation: shards of two attempts never mix.
    ++generation;
    ShardTarget target{granted->id, generation, choose_nodes(granted->id, candidates, shards_of(*layout))};
    const std::vector<ShardFailure> failures =
        co_await write_shards(env_, nodes_, target, shards, kShardWriteTimeout);
    if (failures.empty()) {
      WrittenSegment written;
      written.sealed = {granted->id, generation, *layout, std::move(target.nodes), length};
      written.granted = granted->at;
      co_return written;
    }
    search.note(failures);
    std::vector<ShardTarget> leftovers;
    leftovers.push_back(std::move(target));
    co_await remove_shards(env_, nodes_, std::move(leftovers));
    co_await search.next_round();
  }
}

}  // namespace claudefs::data
