// Remote calls: multiplexed, with deadlines and bounded queues, over runtime::Stream.
//
// A call is a method number, an encoded message (wire/codec.h) and an optional bulk payload that is never
// copied into the message. Frame format: docs/formats/rpc.md. The first frame each way is a hello that
// carries protocol version, cluster id and who speaks; a peer of another cluster is refused
// (Errc::wrong_cluster). Both sides may call over one connection. TLS will wrap the Stream.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/buffer.h"
#include "base/ids.h"
#include "base/result.h"
#include "net/stats.h"
#include "runtime/env.h"
#include "runtime/scope.h"
#include "wire/codec.h"

namespace claudefs::net {

using ClusterId = std::array<std::byte, 16>;

// Who speaks. `node` is 0 for a client. A peer proves knowledge of `secret` by a MAC over both sides' random
// challenges (docs/formats/rpc.md); the secret itself never crosses the wire.
struct Identity {
  ClusterId cluster{};
  NodeId node{};
  std::string secret;
};

struct Reply;

// One open connection, seen from the side that answers: calls back over it. A client answers with the
// methods it was created with. Keep it weakly: it goes with its connection.
class Channel {
 public:
  virtual ~Channel() = default;
  // Errors: as Client::call.
  virtual runtime::Task<Result<Reply>> call(u16 method, Buffer body, Buffer payload,
                                            runtime::Duration timeout) = 0;
};

// Small bodies and payloads are slices of a 64 KiB block shared with their neighbours: copy what is kept
// long. A payload above 16 KiB has a block of its own, aligned to 4 KiB.
struct Request {
  u16 method = 0;
  Buffer body;
  Buffer payload;
  runtime::Instant deadline = runtime::Instant::never();
  NodeId peer{};                   // 0: a client
  std::weak_ptr<Channel> channel;  // to call the sender back
};
struct Reply {
  Buffer body;
  Buffer payload;
};

// What a process answers: one handler a method, filled at start-up, then only read.
class MethodTable {
 public:
  using Handler = std::function<runtime::Task<Result<Reply>>(Request)>;
  void add(u16 method, Handler handler);
  const Handler* find(u16 method) const;

  // Typed: `M` has `static constexpr u16 kMethod`, `using Reply`, fields(). The handler is a callable
  // (M, Request) -> Task<Result<M::Reply>>; `Request` holds payload, deadline and peer.
  template <class M, class F>
  void on(F handler);

 private:
  std::map<u16, Handler> handlers_;
};

struct Limits {
  std::size_t calls_in_flight = 4096;       // per connection, each direction; one more is Errc::overloaded
  std::size_t queued_bytes = 64u << 20;     // waiting to be sent, per connection: senders wait
  std::size_t frame_bytes_max = 16u << 20;  // a longer frame closes the connection
};

class Server {
 public:
  // Listens on `address`. `methods` must outlive the server.
  static Result<std::unique_ptr<Server>> start(runtime::Env& env, std::string address, Identity self,
                                               const MethodTable& methods, Limits limits = {});
  virtual ~Server() = default;
  virtual std::string address() const = 0;
  virtual std::size_t connections() const = 0;
  virtual Stats stats() const { return {}; }
  // Takes no more connections, closes those it has, waits for the handlers under way (their answers are
  // lost).
  virtual runtime::Task<void> stop() = 0;
};

// Calls out. Keeps one connection an address, made on demand, re-made after a loss (with back-off while an
// address keeps refusing: calls then fail fast with Errc::unavailable).
class Client {
 public:
  // `methods`, when given, answers calls that servers make back over our connections.
  static std::unique_ptr<Client> create(runtime::Env& env, Identity self,
                                        const MethodTable* methods = nullptr, Limits limits = {});
  virtual ~Client() = default;
  // Errors: unavailable (not connected: surely not applied), connection_lost and timed_out (may have been
  // applied), overloaded, too_big (body and payload above Limits), whatever the handler returned; and
  // wrong_cluster, wrong_version, access_denied when the hello was refused.
  virtual runtime::Task<Result<Reply>> call(std::string address, u16 method, Buffer body, Buffer payload,
                                            runtime::Duration timeout) = 0;
  // One way: done once it is queued for the connection, in order with the calls. Whether it arrives nobody
  // says; it saves the answer, which costs as much as the request. Errors: as call, surely not applied. The
  // default is a call whose answer is dropped.
  virtual runtime::Task<Result<void>> send(std::string address, u16 method, Buffer body,
                                           runtime::Duration timeout);
  virtual Stats stats() const { return {}; }
  // Calls under way fail; later ones too, with cancelled.
  virtual runtime::Task<void> stop() = 0;
};

template <class R>
struct TypedReply {
  R message;
  Buffer payload;
};

// auto reply = co_await net::call(client, address, ReadShard{...}, 2s);
template <class M>
runtime::Task<Result<TypedReply<typename M::Reply>>> call(Client& client, std::string address, M message,
                                                          runtime::Duration timeout, Buffer payload = {}) {
  Buffer body = wire::encode(message);
  Reply reply =
      co_await client.call(std::move(address), M::kMethod, std::move(body), std::move(payload), timeout);
  TypedReply<typename M::Reply> typed;
  typed.message = co_await wire::decode<typename M::Reply>(reply.body);
  typed.payload = std::move(reply.payload);
  co_return typed;
}

// One way: M's handler runs there, and its reply goes nowhere.
template <class M>
runtime::Task<Result<void>> send(Client& client, std::string address, M message, runtime::Duration timeout) {
  Buffer body = wire::encode(message);
  co_await client.send(std::move(address), M::kMethod, std::move(body), timeout);
  co_return Result<void>();
}

namespace detail {
template <class M, class F>
runtime::Task<Result<Reply>> answer(const F* handler, Request request) {
  M message = co_await wire::decode<M>(request.body);
  Result<TypedReply<typename M::Reply>> typed =
      co_await (*handler)(std::move(message), std::move(request)).result();
  if (!typed) co_return fail(std::move(typed.error()));
  co_return Reply{wire::encode(typed->message), std::move(typed->payload)};
}
}  // namespace detail

// The handler gives Task<Result<TypedReply<M::Reply>>>. It must be stored in the table, hence outlives calls.
template <class M, class F>
void MethodTable::on(F handler) {
  auto kept = std::make_shared<F>(std::move(handler));
  add(M::kMethod, [kept](Request request) { return detail::answer<M, F>(kept.get(), std::move(request)); });
}

// A reply without fields.
struct Empty {
  static auto fields(auto&) { return std::tie(); }
};

}  // namespace claudefs::net
