// TCP through the event loop.
#pragma once

#include "runtime/detail/address.h"
#include "runtime/detail/uring_loop.h"
#include "runtime/env.h"

namespace claudefs::runtime::detail {

class UringNetwork final : public Network {
 public:
  UringNetwork(UringLoop& loop, Offload& offload) : loop_(loop), offload_(offload) {}
  Task<Result<std::unique_ptr<Stream>>> connect(std::string address) override;
  Result<std::unique_ptr<Listener>> listen(std::string address) override;

 private:
  Task<Result<std::vector<SocketAddress>>> addresses_of(std::string address);
  Task<Result<std::unique_ptr<Stream>>> connect_one(SocketAddress to, Instant deadline);
  UringLoop& loop_;
  Offload& offload_;
};

}  // namespace claudefs::runtime::detail
