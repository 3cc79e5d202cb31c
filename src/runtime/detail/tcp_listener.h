// A listening TCP socket.
#pragma once

#include "runtime/detail/descriptor.h"
#include "runtime/detail/uring_loop.h"
#include "runtime/env.h"

namespace claudefs::runtime::detail {

class TcpListener final : public Listener {
 public:
  // `address` is what was asked for. Errors: invalid_argument, address_in_use, access_denied, unavailable.
  static Result<std::unique_ptr<Listener>> open(UringLoop& loop, const std::string& address);
  ~TcpListener() override { close(); }
  Task<Result<std::unique_ptr<Stream>>> accept() override { return accept_on(state_); }
  void close() override;
  std::string address() const override { return state_->address; }

 private:
  struct State {
    UringLoop& loop;
    Descriptor socket;
    std::string address;
    bool closed = false;
  };
  explicit TcpListener(std::shared_ptr<State> state) : state_(std::move(state)) {}
  static Task<Result<std::unique_ptr<Stream>>> accept_on(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace claudefs::runtime::detail
