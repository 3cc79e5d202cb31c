#include "net/detail/connection.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"

namespace claudefs::net::detail {

using runtime::Duration;
using runtime::Instant;
using runtime::Task;
using namespace std::chrono_literals;

namespace {
constexpr Duration kWatchTick = 1s;
constexpr u64 kOneWay = 0;               // as a call's number: wants no answer, not even an error
constexpr unsigned kSilentTicksMax = 4;  // of waiting for an answer without a single byte from the peer

// Milliseconds for the wire: at least one, so that "almost over" does not become "none".
u32 deadline_ms(Instant deadline, Instant now) {
  if (deadline == Instant::never()) return 0;
  const auto ms = (deadline - now).count() / 1'000'000;
  return static_cast<u32>(std::clamp<std::int64_t>(ms, 1, UINT32_MAX));
}
}  // namespace

Connection::Connection(std::shared_ptr<Context> context, std::unique_ptr<runtime::Stream> stream, Side side,
                       runtime::Scope& handlers)
    : context_(std::move(context)),
      executor_(context_->env.executor()),
      stream_(std::move(stream)),
      side_(side),
      handlers_(&handlers),
      reader_(context_->limits.frame_bytes_max),
      watch_(*this),
      wake_writer_(executor_),
      room_(executor_),
      closed_(executor_),
      io_(executor_) {}

Connection::~Connection() {
  if (watch_.armed_) executor_.disarm(watch_);
  if (state_ == State::open) --context_->stats.connections_open;
  stream_->close();
}

Task<void> Connection::ended() {
  while (state_ != State::closed) co_await closed_.wait();
  co_await io_.join();
}

void Connection::close(Error why) {
  if (state_ == State::closed) return;
  if (state_ == State::open) --context_->stats.connections_open;
  state_ = State::closed;
  why_ = std::move(why);
  if (watch_.armed_) executor_.disarm(watch_);
  stream_->close();
  calls_.for_each([&](PendingCall& call) {
    ++context_->stats.calls_lost;
    // What was never queued is surely not applied.
    call.finish(fail(call.sent ? Errc::connection_lost : Errc::unavailable, why_.text));
  });
  wake_writer_.notify_all();
  room_.notify_all();
  closed_.notify_all();
}

void Connection::abandon() {
  handlers_ = nullptr;
  close({Errc::connection_lost, stream_->peer() + ": closed on this side"});
}

// Reading ------------------------------------------------------------------------------------------------

Task<void> Connection::read_loop() {
  while (state_ == State::open) {
    Result<std::optional<Frame>> frame = reader_.next();
    if (!frame) {
      close({frame.error().code, fmt::format("{}: {}", stream_->peer(), frame.error().text)});
      log::warn("net", "bad frame, connection closed",
                {log::kv("peer", stream_->peer()), log::kv("error", frame.error().to_string())});
    } else if (*frame) {
      ++context_->stats.frames_received;
      dispatch(std::move(**frame));
    } else {
      Result<std::size_t> got = co_await stream_->read(reader_.space());
      if (!got) {
        close({Errc::connection_lost, fmt::format("{}: {}", stream_->peer(), got.error().text)});
      } else if (*got == 0) {
        close({Errc::connection_lost, stream_->peer() + ": closed by the peer"});
      } else {
        ++context_->stats.reads;
        context_->stats.bytes_received += *got;
        heard_ = true;
        reader_.filled(*got);
      }
    }
  }
}

void Connection::dispatch(Frame frame) {
  switch (frame.header.type) {
    case FrameType::request:
      return start_handler(std::move(frame));
    case FrameType::reply:
      return answer_call(frame, Reply{frame.body, frame.payload});
    case FrameType::error: {
      Result<WireError> error = wire::decode<WireError>(frame.body);
      Error told = error ? Error{error->code, std::move(error->text)} : std::move(error.error());
      if (frame.header.call == 0) return close(std::move(told));
      return answer_call(frame, fail(std::move(told)));
    }
    case FrameType::ping:
      return send(FrameType::pong, frame.header.call, 0, 0, {}, {});
    case FrameType::pong:
      return;
    case FrameType::hello:
      return close({Errc::corrupt, stream_->peer() + ": a second hello"});
  }
}

void Connection::answer_call(const Frame& frame, Result<Reply> answer) {
  if (PendingCall* call = calls_.find(frame.header.call)) call->finish(std::move(answer));
}

void Connection::start_handler(Frame frame) {
  const FrameHeader& header = frame.header;
  const auto refuse_call = [&](Errc code, std::string text) {
    ++context_->stats.calls_refused;
    if (header.call == kOneWay) return;
    send_error(header.call, header.method, {code, std::move(text)});
    // A peer that neither reads our refusals nor stops asking must not fill our memory.
    if (queue_.waiting_bytes() >= 2 * context_->limits.queued_bytes)
      close({Errc::overloaded, stream_->peer() + ": sends requests but does not read the answers"});
  };
  const MethodTable::Handler* handler = context_->methods ? context_->methods->find(header.method) : nullptr;
  if (handler == nullptr)
    return refuse_call(Errc::unsupported,
                       fmt::format("method {:#06x} is not known here; upgrade", header.method));
  if (handlers_ == nullptr || !handlers_->accepting()) return refuse_call(Errc::unavailable, "shutting down");
  if (serving_ >= context_->limits.calls_in_flight)
    return refuse_call(Errc::overloaded, fmt::format("{} calls of this connection are under way", serving_));
  Request request{.method = header.method,
                  .body = std::move(frame.body),
                  .payload = std::move(frame.payload),
                  .deadline = header.deadline_ms == 0
                                  ? Instant::never()
                                  : executor_.now() + std::chrono::milliseconds(header.deadline_ms),
                  .peer = peer_,
                  .channel = weak_from_this()};
  ++serving_;
  ++context_->stats.calls_served;
  handlers_->spawn(serve(shared_from_this(), handler, header.call, std::move(request)));
}

Task<void> Connection::serve(std::shared_ptr<Connection> self, const MethodTable::Handler* handler, u64 call,
                             Request request) {
  const u16 method = request.method;
  Result<Reply> reply = co_await (*handler)(std::move(request));
  if (reply && reply->body.size() + reply->payload.size() > self->context_->limits.frame_bytes_max)
    reply = fail(Errc::too_big,
                 fmt::format("the answer has {} bytes", reply->body.size() + reply->payload.size()));
  while (call != kOneWay && self->is_open() && self->crowded()) co_await self->room_.wait();
  --self->serving_;
  if (call == kOneWay || !self->is_open()) co_return;
  if (reply)
    self->send(FrameType::reply, call, method, 0, reply->body, reply->payload);
  else
    self->send_error(call, method, reply.error());
}

// Writing ------------------------------------------------------------------------------------------------

void Connection::send(FrameType type, u64 call, u16 method, u32 deadline, const Buffer& body,
                      const Buffer& payload) {
  queue_.push({.type = type, .call = call, .method = method, .deadline_ms = deadline}, body, payload);
  ++context_->stats.frames_sent;
  wake_writer_.notify_one();
}

void Connection::send_error(u64 call, u16 method, const Error& error) {
  send(FrameType::error, call, method, 0, wire::encode(WireError{error.code, error.text}), {});
}

Task<void> Connection::write_loop() {
  while (state_ == State::open) {
    if (queue_.empty()) {
      co_await wake_writer_.wait();
      continue;
    }
    std::vector<Buffer> pieces = queue_.take();
    ++context_->stats.writes;
    context_->stats.bytes_sent += queue_.taken_bytes();
    Result<void> wrote = co_await stream_->write(std::move(pieces));
    if (!wrote) close({Errc::connection_lost, fmt::format("{}: {}", stream_->peer(), wrote.error().text)});
    queue_.written();
    if (!crowded()) room_.notify_all();
  }
}

// Calling ------------------------------------------------------------------------------------------------

Task<Result<Reply>> Connection::call(u16 method, Buffer body, Buffer payload, Duration timeout) {
  return call_until(shared_from_this(), method, std::move(body), std::move(payload),
                    deadline_after(executor_, timeout));
}

Task<Result<Reply>> Connection::call_until(std::shared_ptr<Connection> self, u16 method, Buffer body,
                                           Buffer payload, Instant deadline) {
  Connection& at = *self;
  Stats& stats = at.context_->stats;
  const Limits& limits = at.context_->limits;
  ++stats.calls_made;
  if (!at.is_open()) co_return fail(Errc::unavailable, at.why_.text);
  if (body.size() + payload.size() > limits.frame_bytes_max)
    co_return fail(Errc::too_big, fmt::format("a request of {} bytes, the limit is {}",
                                              body.size() + payload.size(), limits.frame_bytes_max));
  if (at.calls_.size() >= limits.calls_in_flight) {
    ++stats.calls_refused;
    co_return fail(Errc::overloaded,
                   fmt::format("{} calls to {} are under way", at.calls_.size(), at.stream_->peer()));
  }
  PendingCall call(at.executor_, at.calls_);
  bool in_time = true;
  while (in_time && at.is_open() && at.crowded()) in_time = co_await at.room_.wait_until(deadline);
  if (in_time && at.is_open()) {
    call.sent = true;
    at.send(FrameType::request, call.id(), method, deadline_ms(deadline, at.executor_.now()), body, payload);
    body = {};
    payload = {};
    if (!at.watch_.armed_) at.arm_watch(kWatchTick);
    while (in_time && !call.done()) in_time = co_await call.changed.wait_until(deadline);
  }
  if (call.done()) co_return call.take();
  ++stats.calls_timed_out;
  // Without having been sent it is surely not applied.
  co_return fail(call.sent ? Errc::timed_out : Errc::unavailable,
                 fmt::format("no answer from {} to method {:#06x} in time", at.stream_->peer(), method));
}

Task<Result<void>> Connection::send_until(std::shared_ptr<Connection> self, u16 method, Buffer body,
                                          Instant deadline) {
  Connection& at = *self;
  ++at.context_->stats.calls_made;
  if (body.size() > at.context_->limits.frame_bytes_max)
    co_return fail(Errc::too_big, fmt::format("a message of {} bytes, the limit is {}", body.size(),
                                              at.context_->limits.frame_bytes_max));
  bool in_time = true;
  while (in_time && at.is_open() && at.crowded()) in_time = co_await at.room_.wait_until(deadline);
  if (!at.is_open()) co_return fail(Errc::unavailable, at.why_.text);
  if (!in_time)
    co_return fail(Errc::unavailable, fmt::format("no room to send to {} in time", at.stream_->peer()));
  at.send(FrameType::request, kOneWay, method, deadline_ms(deadline, at.executor_.now()), body, {});
  co_return Result<void>();
}

void Connection::arm_watch(Duration in) {
  watch_.due = executor_.now() + in;
  executor_.arm(watch_);
}

// TCP alone notices a vanished peer only after many seconds, and one whose process hangs never.
void Connection::watch() {
  if (state_ == State::hello)
    return close({Errc::timed_out, stream_->peer() + ": no complete hello in time"});
  if (state_ != State::open || calls_.size() == 0) {
    silent_ticks_ = 0;
    return;
  }
  // While a write is stuck the answers may well wait behind it, and TCP watches what it has sent by itself.
  const bool alive = std::exchange(heard_, false) || queue_.taken_bytes() != 0;
  silent_ticks_ = alive ? 0 : silent_ticks_ + 1;
  if (silent_ticks_ >= kSilentTicksMax)
    return close({Errc::connection_lost, stream_->peer() + ": silent, though it has calls to answer"});
  if (silent_ticks_ != 0) send(FrameType::ping, 0, 0, 0, {}, {});
  arm_watch(kWatchTick);
}

}  // namespace claudefs::net::detail
