#include "data/detail/segment_reader.h"

#include <algorithm>
#include <bit>

#include "base/mutant.h"
#include "base/probe.h"
#include "data/detail/compute.h"
#include "data/messages.h"

namespace claudefs::data {

CFS_DEFINE_MUTANT(data_rebuild_wrong_index,
                  "data: a rebuilt shard is computed from shards under wrong numbers");

using namespace std::chrono_literals;
using runtime::Duration;
using runtime::Task;

constexpr Duration kReadTimeout = 5s;
constexpr Duration kPatienceMin = 200ms;
constexpr Duration kPatienceMax = 2s;
constexpr u64 kBlock = 4096;  // what a shard's checksums cover

namespace {

// The holder answered, and this copy is no good: another try gives no more.
bool is_lost(const Error& error) {
  return error.code == Errc::not_found || error.code == Errc::corrupt || error.code == Errc::out_of_range ||
         error.code == Errc::io_error;
}
bool has(ShardMask mask, unsigned place) { return (mask >> place & 1) != 0; }

}  // namespace

std::vector<ShardMask> suspects_of(unsigned places, unsigned count_max) {
  std::vector<ShardMask> out;
  for (ShardMask mask = 1; mask < ShardMask{1} << places; ++mask)
    if (static_cast<unsigned>(std::popcount(mask)) <= count_max) out.push_back(mask);
  std::ranges::sort(out, {}, [](ShardMask mask) { return std::pair(std::popcount(mask), mask); });
  return out;
}

// A busy cluster is slow everywhere: rebuilding from more nodes would only add to it.
Duration SegmentReader::patience() const {
  return std::clamp<Duration>(Duration(usual_ns_ * 8), kPatienceMin, kPatienceMax);
}

// Indices into `nodes`: those that answer, then the others.
std::vector<unsigned> SegmentReader::usable_first(const std::vector<NodeId>& nodes) const {
  std::vector<unsigned> order, others;
  for (unsigned i = 0; i < nodes.size(); ++i) (nodes_.usable(nodes[i]) ? order : others).push_back(i);
  order.insert(order.end(), others.begin(), others.end());
  return order;
}

Task<Result<Buffer>> SegmentReader::read(SegmentPtr record, SegmentRange range, ShardMask without) {
  if (record->state == SegmentState::dead)
    co_return fail(Errc::stale, fmt::format("segment {} is gone", record->id));
  if (record->state == SegmentState::open) co_return co_await read_journal(record, range, without).result();
  const codec::StripeLayout layout =
      co_await codec::StripeLayout::create(record->layout.data_shards, record->length);
  const std::vector<Place> places = co_await layout.places(range.offset, range.length);
  if (places.size() == 1) co_return co_await read_place(record, places.front(), without).result();
  std::vector<Task<Result<Buffer>>> reads;
  for (const Place& place : places) reads.push_back(read_place(record, place, without));
  std::vector<Result<Buffer>> parts = co_await runtime::join_all(env_.executor(), std::move(reads));
  Buffer whole = Buffer::allocate(range.length);
  std::size_t at = 0;
  for (Result<Buffer>& part : parts) {
    const Buffer bytes = co_await std::move(part);
    std::memcpy(whole.data() + at, bytes.data(), bytes.size());
    at += bytes.size();
  }
  co_return whole;
}

Task<Result<Buffer>> SegmentReader::read_journal(SegmentPtr record, SegmentRange range, ShardMask without) {
  Error last{Errc::stale, fmt::format("segment {} is open and has no journal", record->id)};
  bool may_come_back = false;
  for (const unsigned i : usable_first(record->journals)) {
    if (has(without, i)) continue;
    const NodeId node = record->journals[i];
    JournalRead message{record->id, range.offset, range.length};
    auto reply = co_await nodes_.call(node, message, kReadTimeout).result();
    if (reply && reply->payload.size() == range.length) co_return std::move(reply->payload);
    if (!reply)
      last = std::move(reply.error());
    else
      last = Error{Errc::corrupt, fmt::format("node {} answered with another length", node)};
    may_come_back = may_come_back || !is_lost(last);
  }
  if (may_come_back && is_lost(last)) last.code = Errc::unavailable;
  co_return fail(std::move(last));
}

Task<Result<Buffer>> SegmentReader::read_place(SegmentPtr record, Place place, ShardMask without) {
  const bool can_rebuild = record->layout.parity_shards != 0;
  const bool trusted = !has(without, place.shard);
  if (trusted && (!can_rebuild || nodes_.usable(record->nodes[place.shard]))) {
    Result<Buffer> direct =
        co_await read_shard(record, place, can_rebuild ? patience() : kReadTimeout).result();
    if (direct || !can_rebuild) co_return direct;
  }
  CFS_PROBE(data_degraded_read, "bytes are rebuilt from other shards");
  ++degraded_;
  Result<Buffer> rebuilt = co_await rebuild(record, place, without).result();
  if (rebuilt || !trusted) co_return rebuilt;
  CFS_PROBE(data_slow_shard_waited_for, "a slow shard is the last that has the bytes");
  // Others failed as well: the slow one may be the last that has it.
  Result<Buffer> direct = co_await read_shard(record, place, kReadTimeout).result();
  if (direct) co_return direct;
  if (rebuilt.error().code == Errc::corrupt && is_lost(direct.error()) && place.length > kBlock) {
    CFS_PROBE(data_rebuilt_by_blocks, "several shards are damaged in different places");
    co_return co_await rebuild_by_blocks(record, place, without).result();
  }
  // Whose holder is away may still have it.
  if (rebuilt.error().code == Errc::corrupt && !is_lost(direct.error()))
    co_return fail(Errc::unavailable, rebuilt.error().text);
  co_return rebuilt;
}

Task<Result<Buffer>> SegmentReader::read_shard(SegmentPtr record, Place place, Duration timeout) {
  ShardRead message;
  message.key = {record->id, static_cast<u8>(place.shard), record->generation};
  message.offset = static_cast<u32>(place.offset);
  message.length = static_cast<u32>(place.length);
  const NodeId node = record->nodes[place.shard];
  const runtime::Instant began = env_.now();
  auto reply = co_await nodes_.call(node, message, timeout).result();
  if (!reply) {
    if (is_lost(reply.error()) && tell_)
      tell_({record->id, record->generation, static_cast<u8>(place.shard), false});
    co_return fail(std::move(reply.error()));
  }
  if (reply->payload.size() != place.length)
    co_return fail(Errc::corrupt, fmt::format("node {} answered with another length", node));
  usual_ns_ += ((env_.now() - began).count() - usual_ns_) / 8;
  co_return std::move(reply->payload);
}

struct SegmentReader::Gathered {
  std::vector<codec::Shard> good;
  std::size_t lost = 0;    // answered: not there, or damaged
  std::size_t silent = 0;  // did not answer
  std::string why;
};

// The same range of k good shards other than the place's own, where there are so many.
Task<void> SegmentReader::gather(SegmentPtr record, Place place, ShardMask without,
                                 std::shared_ptr<Gathered> gathered) {
  const unsigned k = record->layout.data_shards;
  std::vector<unsigned> candidates = usable_first(record->nodes);
  std::erase_if(candidates, [&](unsigned i) { return i == place.shard || has(without, i); });
  for (std::size_t next = 0; gathered->good.size() < k && next < candidates.size();) {
    std::vector<unsigned> asked;
    std::vector<Task<Result<Buffer>>> reads;
    while (asked.size() + gathered->good.size() < k && next < candidates.size()) {
      asked.push_back(candidates[next++]);
      Place other = place;
      other.shard = asked.back();
      reads.push_back(read_shard(record, other, kReadTimeout));
    }
    std::vector<Result<Buffer>> parts = co_await runtime::join_all(env_.executor(), std::move(reads));
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (parts[i]) {
        const unsigned count = static_cast<unsigned>(record->nodes.size());
        const unsigned index = CFS_MUTANT(data_rebuild_wrong_index) ? (asked[i] + 1) % count : asked[i];
        gathered->good.push_back({index, std::move(*parts[i])});
        continue;
      }
      ++(is_lost(parts[i].error()) ? gathered->lost : gathered->silent);
      if (!gathered->why.empty()) gathered->why += "; ";
      gathered->why += fmt::format("node {}: {}", record->nodes[asked[i]], parts[i].error().to_string());
    }
  }
}

// Parity is byte by byte over equal offsets: the same range of any k others is enough.
Task<Result<Buffer>> SegmentReader::rebuild(SegmentPtr record, Place place, ShardMask without) {
  const unsigned k = record->layout.data_shards;
  auto gathered = std::make_shared<Gathered>();
  co_await gather(record, place, without, gathered);
  const std::size_t good = gathered->good.size();
  if (good < k)
    co_return fail(
        good + gathered->silent >= k ? Errc::unavailable : Errc::corrupt,
        fmt::format("segment {} needs {} of its {} shards; beside shard {} only {} can be read now: {}",
                    record->id, k, record->nodes.size(), place.shard, good, gathered->why));
  const codec::ErasureCode code =
      co_await codec::ErasureCode::create(record->layout.data_shards, record->layout.parity_shards);
  auto out = std::make_shared<Result<std::vector<Buffer>>>();
  co_await compute(env_, 1, place.length * k, [code, gathered, out, shard = place.shard](std::size_t) {
    const unsigned wanted[] = {shard};
    *out = code.reconstruct(gathered->good, wanted);
  });
  std::vector<Buffer> shards = co_await std::move(*out);
  co_return std::move(shards.front());
}

// Several shards are damaged, each perhaps somewhere else.
Task<Result<Buffer>> SegmentReader::rebuild_by_blocks(SegmentPtr record, Place place, ShardMask without) {
  Buffer whole = Buffer::allocate(place.length);
  for (u64 at = place.offset; at < place.offset + place.length;) {
    const u64 end = std::min((at / kBlock + 1) * kBlock, place.offset + place.length);
    const Place block{place.shard, at, end - at};
    Result<Buffer> bytes = co_await read_shard(record, block, kReadTimeout).result();
    if (!bytes) bytes = co_await rebuild(record, block, without).result();
    if (!bytes) co_return fail(std::move(bytes.error()));
    std::memcpy(whole.data() + (at - place.offset), bytes->data(), bytes->size());
    at = end;
  }
  co_return whole;
}

}  // namespace claudefs::data
