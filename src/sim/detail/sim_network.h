// A node's door to the simulated network.
#pragma once

#include <map>

#include "sim/detail/sim_connection.h"

namespace claudefs::sim {

class SimNetwork final : public runtime::Network {
 public:
  explicit SimNetwork(Node& node) : node_(node) {}
  runtime::Task<Result<std::unique_ptr<runtime::Stream>>> connect(std::string address) override;
  Result<std::unique_ptr<runtime::Listener>> listen(std::string address) override;

  void crash();
  void reset_connections_to(const Node& other);

 private:
  class AcceptQueue;
  class ListenerDoor;
  struct Target {
    Node* node = nullptr;
    u16 port = 0;
  };
  Result<Target> find_target(const std::string& address);
  std::shared_ptr<SimConnection> make_connection(Node& to, u16 port);
  u16 next_port();

  Node& node_;
  std::map<u16, std::shared_ptr<AcceptQueue>> listening_;
  std::map<u64, std::weak_ptr<SimConnection>> connections_;  // in order of their making
  u64 connection_count_ = 0;
  u16 last_port_ = 40'000;
};

}  // namespace claudefs::sim
