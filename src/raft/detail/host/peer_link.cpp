#include "raft/detail/host/peer_link.h"

#include <algorithm>

namespace claudefs::raft {

namespace {
constexpr std::size_t kCallsInFlight = 8;  // per lane
constexpr std::size_t kCallBytes = 1_MiB;
constexpr std::size_t kOneWayBytes = 64_KiB;
constexpr u32 kAnswered = 10;  // of messages that need no answer themselves, one in so many gets one

// All but votes: Raft answers them itself, or repeats them.
bool needs_no_answer(const Message& message) {
  switch (message.kind) {
    case MessageKind::append:
    case MessageKind::append_reply:
    case MessageKind::heartbeat:
    case MessageKind::heartbeat_reply:
    case MessageKind::quiet:
    case MessageKind::quiet_reply:
      return true;
    default:
      return false;
  }
}
}  // namespace

// By an answer a connection that leads nowhere is found out, and a lane knows when to stop.
bool PeerLink::wants_answer(const RaftMessages& batch, std::size_t bytes) {
  if (bytes > kOneWayBytes || !std::ranges::all_of(batch.messages, needs_no_answer)) return true;
  return ++unanswered_ % kAnswered == 0;
}

void PeerLink::queue(Message message) {
  Lane& lane = message.entries.empty() ? urgent_ : bulk_;
  lane.bytes += message.bytes();
  lane.waiting.push_back(std::move(message));
  while (lane.bytes > limits_.queue_bytes && lane.waiting.size() > 1) {
    lane.bytes -= lane.waiting.front().bytes();
    lane.waiting.pop_front();
    ++lane.dropped;
  }
}

void PeerLink::flush() {
  if (beat_due_ && urgent_.waiting.empty() && bulk_.waiting.empty()) send_beat();
  beat_due_ = false;
  flush_lane(urgent_);
  flush_lane(bulk_);
}

void PeerLink::send_beat() {
  if (urgent_.calls >= kCallsInFlight || !scope_.accepting()) return;
  ++urgent_.calls;
  scope_.spawn(call(urgent_, batch(), wants_answer(batch(), 0)));
}

void PeerLink::flush_lane(Lane& lane) {
  while (!lane.waiting.empty() && lane.calls < kCallsInFlight && scope_.accepting()) {
    RaftMessages next = batch();
    std::size_t bytes = 0;
    while (!lane.waiting.empty() && bytes < kCallBytes) {
      const std::size_t size = lane.waiting.front().bytes();
      bytes += size;
      lane.bytes -= size;
      next.messages.push_back(std::move(lane.waiting.front()));
      lane.waiting.pop_front();
    }
    ++lane.calls;
    const bool answered = wants_answer(next, bytes);
    scope_.spawn(call(lane, std::move(next), answered));
  }
}

runtime::Task<void> PeerLink::call(Lane& lane, RaftMessages batch, bool answered) {
  // A failure needs no answer: Raft repeats.
  if (answered) {
    auto reply = co_await net::call(client_, address_, std::move(batch), limits_.timeout).result();
    (void)reply;
  } else {
    auto sent = co_await net::send(client_, address_, std::move(batch), limits_.timeout).result();
    (void)sent;
  }
  --lane.calls;
  if (!lane.waiting.empty()) flush_lane(lane);
}

}  // namespace claudefs::raft
