// The one connection to an address: dialled on demand for all callers together, dialled again after a loss,
// with back-off while the address refuses.
//
// Shared by the Client and the frames of its callers, so that both may go in any order.
#pragma once

#include "net/detail/connection.h"

namespace claudefs::net::detail {

class Peer final : public std::enable_shared_from_this<Peer> {
 public:
  Peer(std::shared_ptr<Context> context, std::string address, runtime::Scope* dials,
       runtime::Scope& handlers);

  const std::shared_ptr<Connection>& connection() const { return connection_; }
  bool is_open() const { return connection_ && connection_->is_open(); }
  // Dials if need be, then calls. Fails fast with unavailable while the back-off lasts.
  static runtime::Task<Result<Reply>> call_until(std::shared_ptr<Peer> self, u16 method, Buffer body,
                                                 Buffer payload, runtime::Instant deadline);
  static runtime::Task<Result<void>> send_until(std::shared_ptr<Peer> self, u16 method, Buffer body,
                                                runtime::Instant deadline);
  // No more dialling; the connection is closed. `forget`: the owner is going away, with its scopes.
  void stop(bool forget);

 private:
  runtime::Task<Result<std::shared_ptr<Connection>>> connected(runtime::Instant deadline);
  static runtime::Task<void> dial(std::shared_ptr<Peer> self);
  static runtime::Task<Result<std::shared_ptr<Connection>>> dial_once(std::shared_ptr<Peer> self);

  std::shared_ptr<Context> context_;
  runtime::Executor& executor_;
  std::string address_;
  runtime::Scope* dials_;  // null: stopped
  runtime::Scope* handlers_;
  std::shared_ptr<Connection> connection_;
  bool dialling_ = false;
  runtime::Instant dial_began_{};
  runtime::Instant retry_at_{};
  runtime::Duration back_off_{};
  Error last_error_;
  runtime::Condition dialled_;  // an attempt has ended, well or not
};

}  // namespace claudefs::net::detail
