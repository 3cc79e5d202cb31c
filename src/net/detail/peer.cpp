#include "net/detail/peer.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"

namespace claudefs::net::detail {

using runtime::Duration;
using runtime::Instant;
using runtime::Task;
using namespace std::chrono_literals;

namespace {
constexpr Duration kBackOffMin = 50ms;
constexpr Duration kBackOffMax = 1s;
// A host that is gone does not refuse, it is silent. A caller does better to try another one than to wait.
constexpr Duration kPatience = 1s;
// Long enough for one lost packet. A longer wait would be spent on a host that came back meanwhile.
constexpr Duration kDialLimit = 2s;

using Dialled = Result<std::unique_ptr<runtime::Stream>>;
Task<void> connect_into(runtime::Network& network, std::string address, runtime::Promised<Dialled>& made) {
  made.set(co_await network.connect(std::move(address)));
}
Task<Dialled> connect_within(runtime::Env& env, std::string address, Duration limit) {
  runtime::Promised<Dialled> made(env.executor());
  runtime::Scope scope(env.executor());  // its end cancels what is still under way
  scope.spawn(connect_into(env.network(), address, made));
  std::optional<Dialled> done = co_await made.wait_until(env.now() + limit);
  if (!done)
    co_return fail(Errc::timed_out, "no answer; is the node running, and is the port open in the firewall?");
  co_return std::move(*done);
}
}  // namespace

Peer::Peer(std::shared_ptr<Context> context, std::string address, runtime::Scope* dials,
           runtime::Scope& handlers)
    : context_(std::move(context)),
      executor_(context_->env.executor()),
      address_(std::move(address)),
      dials_(dials),
      handlers_(&handlers),
      dialled_(executor_) {}

Task<Result<Reply>> Peer::call_until(std::shared_ptr<Peer> self, u16 method, Buffer body, Buffer payload,
                                     Instant deadline) {
  std::shared_ptr<Connection> connection = co_await self->connected(deadline);
  co_return co_await Connection::call_until(std::move(connection), method, std::move(body),
                                            std::move(payload), deadline);
}

Task<Result<void>> Peer::send_until(std::shared_ptr<Peer> self, u16 method, Buffer body, Instant deadline) {
  std::shared_ptr<Connection> connection = co_await self->connected(deadline);
  co_return co_await Connection::send_until(std::move(connection), method, std::move(body), deadline)
      .result();
}

Task<Result<std::shared_ptr<Connection>>> Peer::connected(Instant deadline) {
  if (is_open()) co_return connection_;
  if (dials_ == nullptr) co_return fail(Errc::cancelled, "this process is shutting down");
  if (!dialling_) {
    if (executor_.now() < retry_at_) co_return fail(last_error_);
    dialling_ = true;
    dial_began_ = executor_.now();
    dials_->spawn(dial(shared_from_this()));
  }
  const Instant patience = std::min(deadline, dial_began_ + kPatience);
  while (dialling_) {
    if (!co_await dialled_.wait_until(patience) && dialling_)
      co_return fail(Errc::unavailable, fmt::format("{}: no connection yet", address_));
  }
  if (is_open()) co_return connection_;
  co_return fail(last_error_);
}

Task<void> Peer::dial(std::shared_ptr<Peer> self) {
  Result<std::shared_ptr<Connection>> done = co_await dial_once(self);
  self->dialling_ = false;
  if (done) {
    // The peer may have dialled anew before this one has quite ended: hold it, not the peer's current one.
    const std::shared_ptr<Connection> connection = std::move(*done);
    self->back_off_ = {};
    self->dialled_.notify_all();
    co_await connection->ended();
    log::info("net", "connection ended",
              {log::kv("address", self->address_), log::kv("error", connection->closed_why().to_string())});
    co_return;
  }
  ++self->context_->stats.dials_failed;
  // Which way a dial failed matters to nobody, a refusal does: it will not go away by itself.
  Error& error = done.error();
  const bool refused = error.code == Errc::wrong_cluster || error.code == Errc::wrong_version ||
                       error.code == Errc::access_denied || error.code == Errc::invalid_argument;
  self->last_error_ = {refused ? error.code : Errc::unavailable,
                       fmt::format("{}: {}", self->address_, error.text)};
  self->back_off_ = std::clamp(2 * self->back_off_, kBackOffMin, kBackOffMax);
  self->retry_at_ = self->executor_.now() + self->back_off_;
  log::debug("net", "dial failed", {log::kv("address", self->address_), log::kv("error", error.to_string())});
  self->dialled_.notify_all();
}

Task<Result<std::shared_ptr<Connection>>> Peer::dial_once(std::shared_ptr<Peer> self) {
  std::unique_ptr<runtime::Stream> stream =
      co_await connect_within(self->context_->env, self->address_, kDialLimit);
  if (self->dials_ == nullptr) co_return fail(Errc::cancelled, "this process is shutting down");
  auto connection =
      std::make_shared<Connection>(self->context_, std::move(stream), Side::client, *self->handlers_);
  self->connection_ = connection;  // stop() must find it; until the hello is done it is not open
  co_await connection->open();
  co_return connection;
}

void Peer::stop(bool forget) {
  dials_ = nullptr;
  dialling_ = false;
  last_error_ = {Errc::cancelled, "this process is shutting down"};
  if (connection_ && forget) connection_->abandon();
  if (connection_) connection_->close({Errc::connection_lost, "this process is shutting down"});
  dialled_.notify_all();
}

}  // namespace claudefs::net::detail
