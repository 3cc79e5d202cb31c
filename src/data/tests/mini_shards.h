// Shards without replication: the operations of data/ops/ over a std::map each, messages delivered at once.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "data/detail/hlc.h"
#include "data/ops/ops.h"
#include "meta/operations.h"

namespace claudefs::data {

class MiniShard final : public meta::ApplyContext {
 public:
  MiniShard(ShardId shard, u16 count) : shard_(shard), count_(count) {}

  std::optional<std::string> get(std::string_view key) const override {
    const auto it = rows.find(key);
    if (it == rows.end()) return std::nullopt;
    return it->second;
  }
  void scan(std::string_view prefix, std::string_view first,
            const std::function<bool(std::string_view, std::string_view)>& visit) const override {
    for (auto it = rows.lower_bound(first); it != rows.end() && it->first.starts_with(prefix); ++it)
      if (!visit(it->first, it->second)) return;
  }
  ShardId shard() const override { return shard_; }
  u16 shard_count() const override { return count_; }
  void put(std::string key, std::string value) override { rows[std::move(key)] = std::move(value); }
  void remove(std::string key) override { rows.erase(key); }
  meta::Hlc hlc() const override { return hlc_; }
  const cluster::RequestId& request() const override { return id_; }
  void emit(ShardId to, u16 kind, Buffer body) override { outbox.push_back({to, kind, std::move(body)}); }
  using meta::ApplyContext::emit;
  bool lacks(const meta::QuotaSubject&, const meta::QuotaUse&) override { return false; }
  u64 next(std::string_view counter) override { return ++counters[std::string(counter)]; }
  void set_hlc(meta::Hlc hlc) { hlc_ = hlc; }

  struct Message {
    ShardId to{};
    u16 kind = 0;
    Buffer body;
  };
  std::map<std::string, std::string, std::less<>> rows;
  std::map<std::string, u64> counters;
  std::deque<Message> outbox;

 private:
  ShardId shard_;
  u16 count_;
  meta::Hlc hlc_{};
  cluster::RequestId id_{};
};

class MiniShards {
 public:
  explicit MiniShards(u16 count) {
    for (u16 i = 0; i < count; ++i) shards_.emplace_back(std::make_unique<MiniShard>(ShardId{i}, count));
    command<meta::ChunkDeltas>(apply_chunk_deltas);
    query<FindChunks>(read_find_chunks);
    command<PinChunks>(apply_pin_chunks);
    command<ReclaimChunks>(apply_reclaim_chunks);
    command<GrantSegments>(apply_grant_segments);
    command<SealSegments>(apply_seal_segments);
    query<FindSegments>(read_find_segments);
    command<SegmentDelta>(apply_segment_delta);
    command<RemoveSegments>(apply_remove_segments);
    query<ChunksIn>(read_chunks_in);
    command<MoveChunks>(apply_move_chunks);
    command<MatchSketches>(apply_match_sketches);
    command<PinBases>(apply_pin_bases);
    command<ReduceChunks>(apply_reduce_chunks);
    command<SegmentsReduced>(apply_segments_reduced);
    calls_[meta::OutboxStatus::kKind] = [this](MiniShard& shard, const Buffer&) -> Result<Buffer> {
      meta::OutboxStatusReply reply{shard.hlc(), shard.hlc()};
      for (const Held& held : held_)
        if (held.from == shard.shard())
          reply.delivered = std::min(reply.delivered, meta::Hlc{held.emitted.value - 1});
      return wire::encode(reply);
    };
  }
  u16 count() const { return static_cast<u16>(shards_.size()); }
  MiniShard& shard(ShardId id) { return *shards_.at(id.value); }

  Result<Buffer> call(ShardId to, u16 kind, const Buffer& body, meta::Hlc now) {
    ++calls_made[kind];
    MiniShard& target = shard(to);
    target.set_hlc(std::max(meta::Hlc{target.hlc().value + 1}, now));
    const auto it = calls_.find(kind);
    if (it == calls_.end() && more != nullptr)
      if (const auto* query = more->find_query(kind)) return (*query)(target, body);
    auto before = target.rows;
    Result<Buffer> out = it != calls_.end() ? it->second(target, body) : from_table(target, kind, body);
    if (!out) {
      target.rows = std::move(before);
      target.outbox.clear();
    }
    while (!target.outbox.empty()) {
      const MiniShard::Message message = std::move(target.outbox.front());
      target.outbox.pop_front();
      if (holding_.contains(message.kind))
        held_.push_back({to, target.hlc(), message});
      else
        CFS_CHECK(call(message.to, message.kind, message.body, now).has_value());
    }
    return out;
  }
  // Messages of this kind are under way until released.
  void hold(u16 kind) { holding_.insert(kind); }
  void release(u16 kind, meta::Hlc now) {
    holding_.erase(kind);
    for (const Held& held : std::exchange(held_, {})) {
      if (held.message.kind == kind)
        CFS_CHECK(call(held.message.to, kind, held.message.body, now).has_value());
      else
        held_.push_back(held);
    }
  }
  // As a command of another module would.
  template <class Op>
  void emit(ShardId from, ShardId to, const Op& op, meta::Hlc now) {
    MiniShard& source = shard(from);
    source.set_hlc(std::max(meta::Hlc{source.hlc().value + 1}, now));
    CFS_CHECK(holding_.contains(Op::kKind));
    held_.push_back({from, source.hlc(), {to, Op::kKind, wire::encode(op)}});
  }
  template <class Op>
  Result<typename Op::Reply> call(ShardId to, const Op& op, meta::Hlc now) {
    TRY_ASSIGN(const Buffer reply, call(to, Op::kKind, wire::encode(op), now));
    return wire::decode<typename Op::Reply>(reply);
  }
  SegmentRecord segment(SegmentId id) {
    FindSegments op;
    op.segments = {id};
    return read_find_segments(shard(shard_of(id)), op)->records.front();
  }
  std::optional<ChunkRecord> chunk(const codec::ChunkHash& hash) {
    return shard(meta::shard_of_chunk(hash, count())).load<ChunkRecord>(chunk_key(hash));
  }
  std::map<u16, u64> calls_made;  // by kind
  // What is asked beside the operations of data/.
  const meta::OperationTable* more = nullptr;
  void handle(u16 kind, std::function<Result<Buffer>(MiniShard&, const Buffer&)> call) {
    calls_[kind] = std::move(call);
  }

 private:
  Result<Buffer> from_table(MiniShard& shard, u16 kind, const Buffer& body) {
    if (const auto* run = more == nullptr ? nullptr : more->find_command(kind)) return (*run)(shard, body);
    return fail(Errc::unsupported, fmt::format("kind {:#x}", kind));
  }
  template <class Op>
  void command(Result<typename Op::Reply> (*apply)(meta::ApplyContext&, const Op&)) {
    calls_[Op::kKind] = [apply](MiniShard& shard, const Buffer& body) -> Result<Buffer> {
      TRY_ASSIGN(const Op op, wire::decode<Op>(body));
      TRY_ASSIGN(const auto reply, apply(shard, op));
      return wire::encode(reply);
    };
  }
  template <class Op>
  void query(Result<typename Op::Reply> (*read)(const meta::ReadContext&, const Op&)) {
    calls_[Op::kKind] = [read](MiniShard& shard, const Buffer& body) -> Result<Buffer> {
      TRY_ASSIGN(const Op op, wire::decode<Op>(body));
      TRY_ASSIGN(const auto reply, read(shard, op));
      return wire::encode(reply);
    };
  }
  struct Held {
    ShardId from{};
    meta::Hlc emitted{};
    MiniShard::Message message;
  };
  std::set<u16> holding_;
  std::vector<Held> held_;
  std::vector<std::unique_ptr<MiniShard>> shards_;
  std::map<u16, std::function<Result<Buffer>(MiniShard&, const Buffer&)>> calls_;
};

}  // namespace claudefs::data
