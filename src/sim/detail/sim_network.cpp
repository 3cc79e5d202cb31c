#include "sim/detail/sim_network.h"

#include <algorithm>
#include <charconv>

namespace claudefs::sim {

using namespace runtime;

namespace {

constexpr Duration kConnectLimit = 5s;

class SimStream final : public Stream {
 public:
  SimStream(std::shared_ptr<SimConnection> connection, int side)
      : connection_(std::move(connection)), side_(side) {}
  ~SimStream() override { close(); }
  Task<Result<std::size_t>> read(MutableByteSpan into) override { return connection_->read(side_, into); }
  Task<Result<void>> write(std::vector<Buffer> pieces) override {
    return connection_->write(side_, std::move(pieces));
  }
  void close() override { connection_->close(side_); }
  std::string peer() const override { return connection_->peer_of(side_); }

 private:
  std::shared_ptr<SimConnection> connection_;
  int side_;
};

bool means_this_machine(const std::string& host) {
  return host.empty() || host == "*" || host == "localhost" || host == "0.0.0.0" || host == "127.0.0.1" ||
         host == "[::]" || host == "[::1]";
}

}  // namespace

class SimNetwork::AcceptQueue {
 public:
  AcceptQueue(SimNetwork& network, u16 port)
      : network(network), port(port), changed(network.node_.executor()) {}
  SimNetwork& network;
  u16 port;
  Condition changed;
  std::deque<std::shared_ptr<SimConnection>> waiting;
  bool closed = false;

  void close() {
    if (std::exchange(closed, true)) return;
    const auto found = network.listening_.find(port);
    if (found != network.listening_.end() && found->second.get() == this) network.listening_.erase(found);
    for (auto& connection : waiting) connection->lose();
    waiting.clear();
    changed.notify_all();
  }
};

class SimNetwork::ListenerDoor final : public Listener {
 public:
  explicit ListenerDoor(std::shared_ptr<AcceptQueue> queue) : queue_(std::move(queue)) {}
  ~ListenerDoor() override { close(); }
  Task<Result<std::unique_ptr<Stream>>> accept() override { return accept_from(queue_); }
  void close() override { queue_->close(); }
  std::string address() const override {
    return fmt::format("{}:{}", queue_->network.node_.name(), queue_->port);
  }

 private:
  static Task<Result<std::unique_ptr<Stream>>> accept_from(std::shared_ptr<AcceptQueue> queue) {
    while (!queue->closed && queue->waiting.empty()) co_await queue->changed.wait();
    if (queue->closed) co_return fail(Errc::connection_lost, "the listener is closed");
    auto connection = std::move(queue->waiting.front());
    queue->waiting.pop_front();
    co_return std::unique_ptr<Stream>(new SimStream(std::move(connection), 1));
  }
  std::shared_ptr<AcceptQueue> queue_;
};

Result<SimNetwork::Target> SimNetwork::find_target(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  u16 port = 0;
  const char* end = address.data() + address.size();
  if (colon == std::string::npos)
    return fail(Errc::invalid_argument, fmt::format("address '{}': the port is missing", address));
  const auto [stop, error] = std::from_chars(address.data() + colon + 1, end, port);
  if (error != std::errc() || stop != end)
    return fail(Errc::invalid_argument, fmt::format("address '{}': the port is no number", address));
  const std::string host = address.substr(0, colon);
  return Target{means_this_machine(host) ? &node_ : node_.world().find_node(host), port};
}

u16 SimNetwork::next_port() {
  do {
    last_port_ = last_port_ == 65'535 ? 40'001 : last_port_ + 1;
  } while (listening_.contains(last_port_));
  return last_port_;
}

Result<std::unique_ptr<Listener>> SimNetwork::listen(std::string address) {
  TRY_ASSIGN(Target at, find_target(address));
  if (at.node != &node_)
    return fail(Errc::invalid_argument, fmt::format("listen on {}: not an address of this machine", address));
  if (!node_.is_up()) return fail(Errc::unavailable, "the machine is down");
  if (at.port == 0) at.port = next_port();
  if (listening_.contains(at.port))
    return fail(Errc::address_in_use,
                fmt::format("listen on {}: the port is taken; choose another", address));
  auto queue = std::make_shared<AcceptQueue>(*this, at.port);
  listening_[at.port] = queue;
  return std::unique_ptr<Listener>(new ListenerDoor(std::move(queue)));
}

std::shared_ptr<SimConnection> SimNetwork::make_connection(Node& to, u16 port) {
  auto made = std::make_shared<SimConnection>(node_.world(), node_, to,
                                              fmt::format("{}:{}", node_.name(), next_port()),
                                              fmt::format("{}:{}", to.name(), port));
  for (SimNetwork* side : {this, &to.simulated_network()}) {
    std::erase_if(side->connections_, [](const auto& item) { return item.second.expired(); });
    side->connections_[++side->connection_count_] = made;
  }
  return made;
}

Task<Result<std::unique_ptr<Stream>>> SimNetwork::connect(std::string address) {
  World& world = node_.world();
  const Instant deadline = world.now() + kConnectLimit;
  const auto sleep_until = [&](Instant at) { return node_.executor().sleep(at - world.now()); };
  const Target to = co_await find_target(address);
  if (to.node == nullptr) {
    co_await node_.executor().sleep(1ms);
    co_return fail(Errc::unavailable, fmt::format("connect to {}: the host has no address", address));
  }
  const Instant there = world.arrival(node_, *to.node);
  bool answered = !world.is_blocked(node_, *to.node) && there < deadline;
  if (answered) co_await sleep_until(there);
  // A machine without power answers nothing; one without the process refuses.
  if (!to.node->is_up() && world.network_stream().coin()) answered = false;
  if (world.is_blocked(*to.node, node_)) answered = false;
  const Instant back = answered ? world.arrival(*to.node, node_) : deadline;
  if (back >= deadline) {
    co_await sleep_until(deadline);
    co_return fail(Errc::timed_out, fmt::format("connect to {}: no answer", address));
  }
  auto& listening = to.node->simulated_network().listening_;
  const auto found = listening.find(to.port);
  if (found == listening.end()) {
    co_await sleep_until(back);
    co_return fail(Errc::unavailable, fmt::format("connect to {}: connection refused", address));
  }
  const std::shared_ptr<AcceptQueue> queue = found->second;
  auto connection = make_connection(*to.node, to.port);
  std::unique_ptr<Stream> mine(new SimStream(connection, 0));
  queue->waiting.push_back(std::move(connection));
  queue->changed.notify_one();
  co_await sleep_until(back);
  co_return mine;
}

void SimNetwork::crash() {
  while (!listening_.empty()) {
    const std::shared_ptr<AcceptQueue> queue = listening_.begin()->second;
    queue->close();
  }
  for (auto& [id, weak] : connections_)
    if (const auto connection = weak.lock()) connection->crash_end_of(node_);
  connections_.clear();
}

void SimNetwork::reset_connections_to(const Node& other) {
  for (auto& [id, weak] : connections_)
    if (const auto connection = weak.lock(); connection && connection->joins(node_, other))
      connection->lose();
}

}  // namespace claudefs::sim
