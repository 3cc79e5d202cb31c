#include "raft/detail/host/peer_link.h"

namespace claudefs::raft {

namespace {
constexpr std::size_t kCallsInFlight = 8;  // per lane
constexpr std::size_t kCallBytes = 1_MiB;
}  // namespace

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
  flush_lane(urgent_);
  flush_lane(bulk_);
}

void PeerLink::flush_lane(Lane& lane) {
  while (!lane.waiting.empty() && lane.calls < kCallsInFlight && scope_.accepting()) {
    RaftMessages batch;
    std::size_t bytes = 0;
    while (!lane.waiting.empty() && bytes < kCallBytes) {
      const std::size_t size = lane.waiting.front().bytes();
      bytes += size;
      lane.bytes -= size;
      batch.messages.push_back(std::move(lane.waiting.front()));
      lane.waiting.pop_front();
    }
    ++lane.calls;
    scope_.spawn(call(lane, std::move(batch)));
  }
}

runtime::Task<void> PeerLink::call(Lane& lane, RaftMessages batch) {
  // A failure needs no answer: Raft repeats.
  auto reply = co_await net::call(client_, address_, std::move(batch), limits_.timeout).result();
  (void)reply;
  --lane.calls;
  if (!lane.waiting.empty()) flush_lane(lane);
}

}  // namespace claudefs::raft
