// A reliable stream between two nodes, as the kernels at both ends see it.
#pragma once

#include <deque>
#include <memory>

#include "runtime/sync.h"
#include "sim/node.h"

namespace claudefs::sim {

// Owned by the streams at its ends and by its events on the way. Side 0 connected, side 1 accepted.
class SimConnection : public std::enable_shared_from_this<SimConnection> {
 public:
  SimConnection(World& world, Node& from, Node& to, std::string from_name, std::string to_name);

  runtime::Task<Result<std::size_t>> read(int side, MutableByteSpan into);
  runtime::Task<Result<void>> write(int side, std::vector<Buffer> pieces);
  void close(int side);
  const std::string& peer_of(int side) const { return ends_[1 - side].name; }
  bool joins(const Node& one, const Node& other) const;

  // Both ends lose it, with all that is under way and unread.
  void lose();
  // The machine of `node` has stopped: the other end hears of it soon, late, or by the keep-alive.
  void crash_end_of(const Node& node);

 private:
  struct End {
    Node& node;
    std::string name;
    runtime::Condition changed;   // for who reads
    runtime::Condition has_room;  // in the window of the other end, for who writes
    std::deque<Buffer> arrived;
    bool peer_closed = false;  // its FIN has arrived
    bool lost = false;
    bool closed = false;          // on this side, or crashed
    u64 unread_or_under_way = 0;  // bytes towards this end: its sender's window
  };
  struct Segment {
    runtime::Instant at;
    Buffer data;  // empty: FIN
  };
  void send(int side, Buffer data);
  void plan_delivery(int side);
  void deliver(int side);
  void lose_end(int side);
  std::unexpected<Error> closed_error(const End& end) const;

  World& world_;
  End ends_[2];
  std::deque<Segment> under_way_[2];  // by the sending side
  bool delivery_planned_[2] = {false, false};
};

}  // namespace claudefs::sim
