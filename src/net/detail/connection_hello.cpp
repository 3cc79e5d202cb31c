#include <fmt/format.h>

#include "net/detail/connection.h"

namespace claudefs::net::detail {

using runtime::Task;
using namespace std::chrono_literals;

namespace {
constexpr runtime::Duration kHelloLimit = 5s;
constexpr std::size_t kHelloBytesMax = 4096;
}  // namespace

Task<Result<void>> Connection::open() {
  arm_watch(kHelloLimit);
  reader_.set_limit(kHelloBytesMax);
  Result<void> done = co_await (side_ == Side::client ? hello_as_client() : hello_as_server()).result();
  if (watch_.armed_) executor_.disarm(watch_);
  if (state_ == State::closed) co_return fail(why_);  // the time limit, or the owner
  if (!done) {
    ++context_->stats.connections_refused;
    close(done.error());
    co_return done;
  }
  reader_.set_limit(context_->limits.frame_bytes_max);
  state_ = State::open;
  ++context_->stats.connections_made;
  ++context_->stats.connections_open;
  io_.spawn(write_loop());
  io_.spawn(read_loop());
  co_return done;
}

Task<Result<void>> Connection::hello_as_client() {
  const Identity& self = context_->self;
  Hello mine{.cluster = self.cluster, .node = self.node};
  context_->env.random().fill_secret(mine.challenge);
  co_await write_hello(kClientHello, wire::encode(mine));
  const Frame frame = co_await read_hello(kServerHello);
  const Hello theirs = co_await wire::decode<Hello>(frame.body);
  co_await check_hello(theirs, self, stream_->peer());
  if (!same_proof(theirs.proof, make_proof(Side::server, self.secret, mine, theirs))) {
    co_await refuse(wrong_secret(stream_->peer()).error());
    co_return wrong_secret(stream_->peer());
  }
  co_await write_hello(kClientProof,
                       wire::encode(ClientProof{make_proof(Side::client, self.secret, mine, theirs)}));
  peer_ = theirs.node;
  co_return Result<void>();
}

Task<Result<void>> Connection::hello_as_server() {
  const Identity& self = context_->self;
  const Frame first = co_await read_hello(kClientHello);
  const Hello theirs = co_await wire::decode<Hello>(first.body);
  if (Result<void> fits = check_hello(theirs, self, "the dialling side"); !fits) {
    co_await refuse(fits.error());
    co_return fits;
  }
  Hello mine{.cluster = self.cluster, .node = self.node};
  context_->env.random().fill_secret(mine.challenge);
  mine.proof = make_proof(Side::server, self.secret, theirs, mine);
  co_await write_hello(kServerHello, wire::encode(mine));
  const Frame second = co_await read_hello(kClientProof);
  const ClientProof claimed = co_await wire::decode<ClientProof>(second.body);
  if (!same_proof(claimed.proof, make_proof(Side::client, self.secret, theirs, mine))) {
    co_await refuse(wrong_secret("the dialling side").error());
    co_return wrong_secret(stream_->peer());
  }
  peer_ = theirs.node;
  co_return Result<void>();
}

Task<Result<Frame>> Connection::read_hello(u16 step) {
  std::optional<Frame> frame = co_await reader_.next();
  while (!frame) {
    const std::size_t got = co_await stream_->read(reader_.space());
    if (got == 0) co_return fail(Errc::connection_lost, stream_->peer() + ": closed during the hello");
    context_->stats.bytes_received += got;
    reader_.filled(got);
    frame = co_await reader_.next();
  }
  ++context_->stats.frames_received;
  if (frame->header.type == FrameType::error) {
    WireError told = co_await wire::decode<WireError>(frame->body);
    co_return fail(told.code, fmt::format("{} refuses: {}", stream_->peer(), told.text));
  }
  if (frame->header.type != FrameType::hello || frame->header.method != step)
    co_return fail(Errc::corrupt, stream_->peer() + ": does not say hello as it should");
  co_return std::move(*frame);
}

Task<Result<void>> Connection::write_hello(u16 step, Buffer body) {
  queue_.push({.type = FrameType::hello, .method = step}, body, {});
  std::vector<Buffer> pieces = queue_.take();
  ++context_->stats.frames_sent;
  context_->stats.bytes_sent += queue_.taken_bytes();
  queue_.written();
  co_await stream_->write(std::move(pieces));
  co_return Result<void>();
}

// Tells the peer why before the connection closes. Best effort.
Task<void> Connection::refuse(Error why) {
  const Buffer body = wire::encode(WireError{why.code, why.text});
  queue_.push({.type = FrameType::error}, body, {});
  std::vector<Buffer> pieces = queue_.take();
  queue_.written();
  (void)co_await stream_->write(std::move(pieces));
}

}  // namespace claudefs::net::detail
