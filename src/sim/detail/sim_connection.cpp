#include "sim/detail/sim_connection.h"

#include <algorithm>

namespace claudefs::sim {

using namespace runtime;

namespace {
constexpr u64 kWindow = 256_KiB;
constexpr std::size_t kLargestSegment = 64_KiB;
}  // namespace

SimConnection::SimConnection(World& world, Node& from, Node& to, std::string from_name, std::string to_name)
    : world_(world),
      ends_{{from, std::move(from_name), Condition(from.executor()), Condition(from.executor()), {}},
            {to, std::move(to_name), Condition(to.executor()), Condition(to.executor()), {}}} {}

bool SimConnection::joins(const Node& one, const Node& other) const {
  return (&ends_[0].node == &one && &ends_[1].node == &other) ||
         (&ends_[0].node == &other && &ends_[1].node == &one);
}

std::unexpected<Error> SimConnection::closed_error(const End& end) const {
  const std::string& peer = ends_[&end == &ends_[0] ? 1 : 0].name;
  return fail(Errc::connection_lost, peer + (end.closed ? ": closed on this side" : ": connection reset"));
}

Task<Result<std::size_t>> SimConnection::read(int side, MutableByteSpan into) {
  const std::shared_ptr<SimConnection> self = shared_from_this();
  End& end = ends_[side];
  if (into.empty()) co_return std::size_t{0};
  while (!end.closed && !end.lost && end.arrived.empty() && !end.peer_closed) co_await end.changed.wait();
  if (end.closed || end.lost) co_return closed_error(end);
  if (end.arrived.empty()) co_return std::size_t{0};
  std::size_t done = 0;
  while (done < into.size() && !end.arrived.empty()) {
    Buffer& front = end.arrived.front();
    const std::size_t count = std::min(front.size(), into.size() - done);
    std::memcpy(into.data() + done, front.data(), count);
    done += count;
    if (count == front.size())
      end.arrived.pop_front();
    else
      front = front.slice(count);
  }
  end.unread_or_under_way -= done;
  ends_[1 - side].has_room.notify_all();
  co_return done;
}

Task<Result<void>> SimConnection::write(int side, std::vector<Buffer> pieces) {
  const std::shared_ptr<SimConnection> self = shared_from_this();
  End& end = ends_[side];
  End& peer = ends_[1 - side];
  for (const Buffer& piece : pieces) {
    for (std::size_t at = 0; at < piece.size();) {
      while (!end.closed && !end.lost && peer.unread_or_under_way >= kWindow) co_await end.has_room.wait();
      if (end.closed || end.lost) co_return closed_error(end);
      const std::size_t count = std::min(piece.size() - at, kLargestSegment);
      // Copied, as the kernel does: what the caller does to the bytes afterwards must not matter.
      send(side, Buffer::copy_of(piece.span().subspan(at, count)));
      at += count;
    }
  }
  if (end.closed || end.lost) co_return closed_error(end);
  co_return Result<void>();
}

void SimConnection::send(int side, Buffer data) {
  if (world_.network_stream().chance(world_.faults().connection_reset) && !data.empty()) {
    world_.count_fault("connection reset");
    return lose();
  }
  if (!data.empty() && world_.network_stream().chance(world_.faults().segment_corrupted)) {
    world_.count_fault("segment corrupted");
    const u64 at = world_.network_stream().between(0, data.size() - 1);
    data.data()[at] ^= static_cast<std::byte>(1u << world_.network_stream().between(0, 7));
  }
  ends_[1 - side].unread_or_under_way += data.size();
  under_way_[side].push_back({world_.arrival(ends_[side].node, ends_[1 - side].node), std::move(data)});
  plan_delivery(side);
}

void SimConnection::plan_delivery(int side) {
  if (delivery_planned_[side] || under_way_[side].empty()) return;
  delivery_planned_[side] = true;
  world_.schedule(under_way_[side].front().at, nullptr, World::EventKind::network,
                  [self = shared_from_this(), side] { self->deliver(side); });
}

void SimConnection::deliver(int side) {
  delivery_planned_[side] = false;
  if (under_way_[side].empty()) return;
  End& to = ends_[1 - side];
  if (world_.is_blocked(ends_[side].node, to.node)) {
    // The sender's kernel tries again, later each time in reality; often enough here.
    under_way_[side].front().at = world_.now() + world_.network_stream().between_times(100ms, 400ms);
    return plan_delivery(side);
  }
  Buffer data = std::move(under_way_[side].front().data);
  under_way_[side].pop_front();
  const bool is_fin = data.empty();
  if (to.closed && !is_fin) return lose();  // nobody is there any more: answered by a reset
  if (is_fin)
    to.peer_closed = true;
  else
    to.arrived.push_back(std::move(data));
  to.changed.notify_all();
  plan_delivery(side);
}

void SimConnection::close(int side) {
  End& end = ends_[side];
  if (end.closed) return;
  end.closed = true;
  end.changed.notify_all();
  end.has_room.notify_all();
  if (!end.lost) send(side, {});
}

void SimConnection::lose_end(int side) {
  ends_[side].lost = true;
  ends_[side].arrived.clear();
  ends_[side].changed.notify_all();
  ends_[side].has_room.notify_all();
}
void SimConnection::lose() {
  under_way_[0].clear();
  under_way_[1].clear();
  lose_end(0);
  lose_end(1);
}

void SimConnection::crash_end_of(const Node& node) {
  for (int side = 0; side < 2; ++side) {
    if (&ends_[side].node != &node || ends_[side].closed) continue;
    ends_[side].closed = true;
    RandomStream& stream = world_.network_stream();
    if (stream.coin()) under_way_[side].clear();  // a machine that lost power, not only its process
    const Duration until_known =
        stream.coin() ? stream.between_times(50us, 10ms) : stream.between_times(1s, 25s);
    world_.after(until_known, [self = shared_from_this()] { self->lose(); });
  }
}

}  // namespace claudefs::sim
