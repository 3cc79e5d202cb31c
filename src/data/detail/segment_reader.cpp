#include "data/detail/segment_reader.h"

#include <algorithm>

#include "data/detail/compute.h"
#include "data/messages.h"

namespace claudefs::data {

using namespace std::chrono_literals;
using runtime::Duration;
using runtime::Task;

constexpr Duration kReadTimeout = 5s;
constexpr Duration kPatienceMin = 200ms;
constexpr Duration kPatienceMax = 2s;

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

Task<Result<Buffer>> SegmentReader::read(SegmentPtr record, SegmentRange range, bool distrust_direct) {
  if (record->state == SegmentState::dead)
    co_return fail(Errc::stale, fmt::format("segment {} is gone", record->id));
  if (record->state == SegmentState::open) co_return co_await read_journal(record, range).result();
  const codec::StripeLayout layout =
      co_await codec::StripeLayout::create(record->layout.data_shards, record->length);
  const std::vector<Place> places = co_await layout.places(range.offset, range.length);
  if (places.size() == 1) co_return co_await read_place(record, places.front(), distrust_direct).result();
  std::vector<Task<Result<Buffer>>> reads;
  for (const Place& place : places) reads.push_back(read_place(record, place, distrust_direct));
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

Task<Result<Buffer>> SegmentReader::read_journal(SegmentPtr record, SegmentRange range) {
  Error last{Errc::stale, fmt::format("segment {} is open and has no journal", record->id)};
  for (const unsigned i : usable_first(record->journals)) {
    const NodeId node = record->journals[i];
    JournalRead message{record->id, range.offset, range.length};
    auto reply = co_await nodes_.call(node, message, kReadTimeout).result();
    if (reply && reply->payload.size() == range.length) co_return std::move(reply->payload);
    if (!reply)
      last = std::move(reply.error());
    else
      last = Error{Errc::corrupt, fmt::format("node {} answered with another length", node)};
  }
  co_return fail(std::move(last));
}

Task<Result<Buffer>> SegmentReader::read_place(SegmentPtr record, Place place, bool distrust_direct) {
  const bool can_rebuild = record->layout.parity_shards != 0;
  Error first{Errc::unavailable, fmt::format("node {} is down", record->nodes[place.shard])};
  if (!can_rebuild || (!distrust_direct && nodes_.usable(record->nodes[place.shard]))) {
    Result<Buffer> direct =
        co_await read_shard(record, place, can_rebuild ? patience() : kReadTimeout).result();
    if (direct || !can_rebuild) co_return direct;
    first = std::move(direct.error());
  }
  ++degraded_;
  Result<Buffer> rebuilt = co_await rebuild(record, place).result();
  if (rebuilt || distrust_direct) co_return rebuilt;
  // Others failed as well: the slow one may be the last that has it.
  Result<Buffer> direct = co_await read_shard(record, place, kReadTimeout).result();
  if (!direct && first.code == Errc::not_found) co_return fail(std::move(first));
  co_return direct;
}

Task<Result<Buffer>> SegmentReader::read_shard(SegmentPtr record, Place place, Duration timeout) {
  ShardRead message;
  message.key = {record->id, static_cast<u8>(place.shard), record->generation};
  message.offset = static_cast<u32>(place.offset);
  message.length = static_cast<u32>(place.length);
  const NodeId node = record->nodes[place.shard];
  const runtime::Instant began = env_.now();
  auto reply = co_await nodes_.call(node, message, timeout);
  if (reply.payload.size() != place.length)
    co_return fail(Errc::corrupt, fmt::format("node {} answered with another length", node));
  usual_ns_ += ((env_.now() - began).count() - usual_ns_) / 8;
  co_return std::move(reply.payload);
}

// Parity is byte by byte over equal offsets: the same range of any k others is enough.
Task<Result<Buffer>> SegmentReader::rebuild(SegmentPtr record, Place place) {
  const unsigned k = record->layout.data_shards;
  std::vector<unsigned> candidates = usable_first(record->nodes);
  std::erase(candidates, place.shard);

  auto good = std::make_shared<std::vector<codec::Shard>>();
  Error last{Errc::unavailable, fmt::format("segment {} has too few shards left", record->id)};
  for (std::size_t next = 0; good->size() < k && next < candidates.size();) {
    std::vector<unsigned> asked;
    std::vector<Task<Result<Buffer>>> reads;
    while (asked.size() + good->size() < k && next < candidates.size()) {
      asked.push_back(candidates[next++]);
      Place other = place;
      other.shard = asked.back();
      reads.push_back(read_shard(record, other, kReadTimeout));
    }
    std::vector<Result<Buffer>> parts = co_await runtime::join_all(env_.executor(), std::move(reads));
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (parts[i])
        good->push_back({asked[i], std::move(*parts[i])});
      else
        last = std::move(parts[i].error());
    }
  }
  if (good->size() < k) co_return fail(std::move(last));
  const codec::ErasureCode code =
      co_await codec::ErasureCode::create(record->layout.data_shards, record->layout.parity_shards);
  auto out = std::make_shared<Result<std::vector<Buffer>>>();
  co_await compute(env_, 1, place.length * k, [code, good, out, shard = place.shard](std::size_t) {
    const unsigned wanted[] = {shard};
    *out = code.reconstruct(*good, wanted);
  });
  std::vector<Buffer> shards = co_await std::move(*out);
  co_return std::move(shards.front());
}

}  // namespace claudefs::data
