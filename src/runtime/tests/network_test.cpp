// Goal: streams carry every byte in order, and every way a connection ends wakes whoever waits on it.
#include <gtest/gtest.h>

#include "runtime/reactor.h"
#include "runtime/scope.h"

namespace claudefs::runtime {
namespace {

std::unique_ptr<Reactor> make_reactor() { return std::move(*Reactor::create()); }

Task<void> echo(std::unique_ptr<Stream> stream) {
  std::vector<std::byte> space(64_KiB);
  for (;;) {
    const Result<std::size_t> got = co_await stream->read(space);
    if (!got || *got == 0) co_return;
    std::vector<Buffer> pieces;
    pieces.push_back(Buffer::copy_of(ByteSpan(space).first(*got)));
    const Result<void> put = co_await stream->write(std::move(pieces));
    if (!put) co_return;
  }
}
Task<void> echo_server(Env& env, Listener& listener, Scope& scope) {
  for (;;) {
    Result<std::unique_ptr<Stream>> stream = co_await listener.accept();
    if (!stream) co_return;
    scope.spawn(echo(std::move(*stream)));
    (void)env;
  }
}
std::byte pattern(u64 at) { return static_cast<std::byte>((at * 0x9E3779B97F4A7C15ull) >> 56); }

Task<void> send_pattern(Stream& stream, u64 total, std::size_t piece, Result<void>& out) {
  u64 at = 0;
  while (at < total) {
    std::vector<Buffer> pieces;
    for (int i = 0; i < 1500 && at < total; ++i) {  // more than one system call takes
      Buffer part = Buffer::allocate(std::min<u64>(piece, total - at));
      for (std::size_t k = 0; k < part.size(); ++k) part.data()[k] = pattern(at + k);
      at += part.size();
      pieces.push_back(std::move(part));
    }
    out = co_await stream.write(std::move(pieces));
    if (!out) co_return;
  }
}
Task<Result<u64>> receive_pattern(Stream& stream, u64 total) {
  std::vector<std::byte> space(100'000);
  u64 at = 0;
  while (at < total) {
    const std::size_t got = co_await stream.read(space);
    if (got == 0) break;
    for (std::size_t i = 0; i < got; ++i)
      if (space[i] != pattern(at + i)) co_return fail(Errc::corrupt, std::to_string(at + i));
    at += got;
  }
  co_return at;
}
Task<Result<void>> transfer(Env& env, u64 total, std::size_t piece) {
  Scope scope(env.executor());
  auto listener = co_await env.network().listen("127.0.0.1:0");
  Scope server(env.executor());
  server.spawn(echo_server(env, *listener, scope));
  auto stream = co_await env.network().connect(listener->address());
  Result<void> sent;
  scope.spawn(send_pattern(*stream, total, piece, sent));
  const u64 got = co_await receive_pattern(*stream, total);
  EXPECT_EQ(got, total);
  EXPECT_TRUE(sent.has_value());
  listener->close();
  co_await server.join();
  stream->close();
  co_await scope.join();
  co_return Result<void>();
}
Task<void> run_transfer(Env& env, u64 total, std::size_t piece, Result<void>& out) {
  out = co_await transfer(env, total, piece);
}
TEST(Network, EchoKeepsEveryByte) {
  for (const auto& [total, piece] :
       {std::pair<u64, std::size_t>{1, 1}, {5000, 1}, {300'000, 100}, {64_MiB, 1_MiB}}) {
    auto reactor = make_reactor();
    Result<void> out = fail(Errc::cancelled);
    reactor->run(run_transfer(reactor->env(), total, piece, out));
    EXPECT_TRUE(out.has_value()) << out.error().to_string();
  }
}

struct Pair {
  std::unique_ptr<Listener> listener;
  std::unique_ptr<Stream> near, far;
};
Task<void> take_connection(Listener& listener, std::unique_ptr<Stream>& out) {
  out = std::move(*co_await listener.accept());
}
Task<void> connect_pair(Env& env, Pair& pair) {
  pair.listener = std::move(*env.network().listen("localhost:0"));
  Scope scope(env.executor());
  scope.spawn(take_connection(*pair.listener, pair.far));
  pair.near = std::move(*co_await env.network().connect(pair.listener->address()));
  co_await scope.join();
}
Task<void> read_once(Stream& stream, std::vector<std::byte>& space, std::optional<Result<std::size_t>>& out) {
  out = co_await stream.read(space);
}
Task<void> write_much(Stream& stream, std::optional<Result<void>>& out) {
  for (;;) {
    std::vector<Buffer> pieces;
    pieces.push_back(Buffer::zeros(1_MiB));
    Result<void> put = co_await stream.write(std::move(pieces));
    if (put) continue;
    out = std::move(put);
    co_return;
  }
}
Task<void> close_while_blocked(Env& env, std::optional<Result<std::size_t>>& read,
                               std::optional<Result<void>>& written, bool destroy) {
  Pair pair;
  co_await connect_pair(env, pair);
  std::vector<std::byte> space(100);
  Scope scope(env.executor());
  scope.spawn(read_once(*pair.near, space, read));
  scope.spawn(write_much(*pair.near, written));
  co_await env.executor().sleep(30ms);  // until the socket's buffers are full
  EXPECT_FALSE(read.has_value());
  EXPECT_FALSE(written.has_value());
  if (destroy)
    pair.near.reset();
  else
    pair.near->close();
  co_await scope.join();
}
TEST(Network, CloseWakesReaderAndWriter) {
  for (const bool destroy : {false, true}) {
    auto reactor = make_reactor();
    std::optional<Result<std::size_t>> read;
    std::optional<Result<void>> written;
    reactor->run(close_while_blocked(reactor->env(), read, written, destroy));
    EXPECT_EQ(read->error().code, Errc::connection_lost);
    EXPECT_EQ(written->error().code, Errc::connection_lost);
  }
}

Task<void> peer_closes(Env& env, std::optional<Result<std::size_t>>& read,
                       std::optional<Result<void>>& written) {
  Pair pair;
  co_await connect_pair(env, pair);
  std::vector<std::byte> space(100);
  Scope scope(env.executor());
  scope.spawn(read_once(*pair.near, space, read));
  pair.far.reset();
  co_await scope.join();
  scope.spawn(write_much(*pair.near, written));
  co_await scope.join();
}
TEST(Network, TheOtherSidesEndIsEndOfStreamThenLost) {
  auto reactor = make_reactor();
  std::optional<Result<std::size_t>> read;
  std::optional<Result<void>> written;
  reactor->run(peer_closes(reactor->env(), read, written));
  EXPECT_EQ(**read, 0u);
  EXPECT_EQ(written->error().code, Errc::connection_lost);
}

Task<void> accept_once(Listener& listener, std::optional<Errc>& out) {
  auto got = co_await listener.accept();
  out = got ? Errc::ok : got.error().code;
}
Task<void> close_listener(Env& env, std::optional<Errc>& out) {
  auto listener = std::move(*env.network().listen("[::1]:0"));
  Scope scope(env.executor());
  scope.spawn(accept_once(*listener, out));
  co_await env.executor().sleep(1ms);
  listener->close();
  co_await scope.join();
}
TEST(Network, ClosingAListenerWakesAccept) {
  auto reactor = make_reactor();
  std::optional<Errc> out;
  reactor->run(close_listener(reactor->env(), out));
  EXPECT_EQ(out, Errc::connection_lost);
}

Task<void> abandon_reads(Env& env) {
  Pair pair;
  co_await connect_pair(env, pair);
  {
    std::vector<std::byte> space(1000);
    std::optional<Result<std::size_t>> out;
    Scope scope(env.executor());
    scope.spawn(read_once(*pair.near, space, out));
    co_await env.executor().sleep(1ms);
  }  // the frame, then its buffer, are gone with the read in the kernel
  std::vector<Buffer> pieces;
  pieces.push_back(Buffer::copy_of("late"));
  Result<void> put = co_await pair.far->write(std::move(pieces));
  EXPECT_TRUE(put.has_value());
  std::vector<std::byte> space(1000);
  Result<std::size_t> got = co_await pair.near->read(space);
  EXPECT_EQ(*got, 4u);
}
TEST(Network, ADestroyedReadTakesNoBytes) {
  auto reactor = make_reactor();
  reactor->run(abandon_reads(reactor->env()));
}

Task<void> connect_to(Env& env, std::string address, Error& out) {
  auto made = co_await env.network().connect(address);
  out = made ? Error{} : made.error();
}
TEST(Network, ErrorsNameTheAddressAndTheMend) {
  auto reactor = make_reactor();
  Env& env = reactor->env();
  Error error;
  for (const char* bad : {"nothing", "host:", "host:99999", "::1:80", "host:8o"}) {
    reactor->run(connect_to(env, bad, error));
    EXPECT_EQ(error.code, Errc::invalid_argument) << bad;
    EXPECT_EQ(env.network().listen(bad).error().code, Errc::invalid_argument) << bad;
  }
  auto listener = std::move(*env.network().listen("127.0.0.1:0"));
  const std::string address = listener->address();
  const Result<std::unique_ptr<Listener>> second = env.network().listen(address);
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code, Errc::address_in_use);
  EXPECT_NE(second.error().text.find(address), std::string::npos);
  listener.reset();
  reactor->run(connect_to(env, address, error));
  EXPECT_EQ(error.code, Errc::unavailable) << error.to_string();
  EXPECT_NE(error.text.find(address), std::string::npos);
  // A port is free again at once.
  EXPECT_TRUE(env.network().listen(address).has_value());
}

}  // namespace
}  // namespace claudefs::runtime
