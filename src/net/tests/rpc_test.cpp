// Goal: calls keep the promises of net/rpc.h over real loopback TCP.
// Method: server and client on one reactor; a raw stream plays the peer that breaks the rules.
#include "net/rpc.h"

#include "net/tests/rpc_fixture.h"
#include "runtime/reactor.h"

namespace claudefs::net::test {
namespace {

struct World {
  World() : reactor(runtime::Reactor::create().value()), env(reactor->env()), service(env) {}
  void start(Limits limits = {}) {
    server = Server::start(env, "127.0.0.1:0", identity(7), service.methods, limits).value();
    address = server->address();
  }
  void run(Task<void> test) { reactor->run(with_limit(std::move(test))); }
  static Task<void> with_limit(Task<void> test) { co_await std::move(test); }

  std::unique_ptr<runtime::Reactor> reactor;
  runtime::Env& env;
  Service service;
  std::unique_ptr<Server> server;
  std::string address;
};

Task<void> stop_all(World& w, Client& client) {
  co_await client.stop();
  if (w.server) co_await w.server->stop();
}

Task<void> echo_test(World& w) {
  auto client = Client::create(w.env, identity(3));
  auto reply = co_await call(*client, w.address, Echo{"hello"}, 5s, Buffer::copy_of("bulk"));
  EXPECT_TRUE(reply.has_value());
  if (reply) {
    EXPECT_EQ(reply->message.text, "hello");
    EXPECT_EQ(reply->message.from, 3);
    EXPECT_EQ(reply->payload.text(), "bulk");
  }
  EXPECT_EQ(w.server->connections(), 1u);
  auto refused = co_await call(*client, w.address, Refuse{}, 5s);
  EXPECT_EQ(refused.error(), (Error{Errc::quota_exceeded, "volume 'v' is full"}));
  auto unknown = co_await client->call(w.address, 999, {}, {}, 5s);
  EXPECT_EQ(unknown.error().code, Errc::unsupported);
  EXPECT_EQ(client->stats().calls_made, 3u);
  EXPECT_EQ(client->stats().connections_made, 1u);
  co_await stop_all(w, *client);
  EXPECT_EQ(w.server->connections(), 0u);
}
TEST(Rpc, EchoesAndCarriesErrors) {
  World w;
  w.start();
  w.run(echo_test(w));
}

// Neither the reply, nor the handler's error, nor that nobody knows the method comes back; calls go on.
Task<void> one_way_test(World& w) {
  auto client = Client::create(w.env, identity(3));
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE((co_await send(*client, w.address, Echo{"hello"}, 5s).result()).has_value());
    EXPECT_TRUE((co_await send(*client, w.address, Refuse{}, 5s).result()).has_value());
    EXPECT_TRUE((co_await client->send(w.address, 999, {}, 5s).result()).has_value());
  }
  // In order: what answers this call has had all of them.
  auto reply = co_await call(*client, w.address, Echo{"after"}, 5s);
  EXPECT_TRUE(reply.has_value());
  if (reply) EXPECT_EQ(reply->message.text, "after");
  EXPECT_EQ(w.server->stats().calls_served, 21u);
  EXPECT_EQ(w.server->stats().calls_refused, 10u);
  EXPECT_EQ(client->stats().connections_made, 1u);
  EXPECT_EQ(client->stats().frames_received, 2u);  // the hello and that one answer
  co_await client->stop();
  const auto late = co_await client->send(w.address, Echo::kMethod, {}, 5s).result();
  EXPECT_FALSE(late.has_value());
  if (w.server) co_await w.server->stop();
}
TEST(Rpc, OneWayMessagesAreServedAndNotAnswered) {
  World w;
  w.start();
  w.run(one_way_test(w));
}

Task<void> one_call(World& w, Client& client, std::string text, Buffer payload, int& good) {
  auto reply = co_await call(client, w.address, Echo{text}, 30s, payload);
  if (reply && reply->message.text == text && reply->payload == payload) ++good;
}
Task<void> many_test(World& w) {
  Limits limits{.calls_in_flight = 20000};
  auto client = Client::create(w.env, identity(0), nullptr, limits);
  int good = 0;
  {
    std::vector<Task<void>> calls;
    for (int i = 0; i < 10000; ++i) calls.push_back(one_call(w, *client, std::to_string(i), {}, good));
    co_await runtime::join_all(w.env.executor(), std::move(calls));
  }
  EXPECT_EQ(good, 10000);
  EXPECT_EQ(client->stats().connections_made, 1u);  // callers share the dial
  EXPECT_LT(client->stats().writes, 2000u);         // and their frames share writes
  co_await stop_all(w, *client);
}
TEST(Rpc, TenThousandCallsAtOnce) {
  World w;
  w.start({.calls_in_flight = 20000});
  w.run(many_test(w));
}

Task<void> big_test(World& w) {
  // A queue much smaller than what is sent: senders wait, nothing is lost.
  Limits limits{.queued_bytes = 1u << 20};
  auto client = Client::create(w.env, identity(0), nullptr, limits);
  int good = 0;
  {
    std::vector<Task<void>> calls;
    for (int i = 0; i < 4; ++i) calls.push_back(one_call(w, *client, "big", pattern(8u << 20), good));
    for (int i = 0; i < 20; ++i) calls.push_back(one_call(w, *client, "odd", pattern(100000 + i), good));
    for (int i = 0; i < 50; ++i)
      calls.push_back(one_call(w, *client, std::string(i * 997, 'x'), pattern(i * 401), good));
    co_await runtime::join_all(w.env.executor(), std::move(calls));
  }
  EXPECT_EQ(good, 74);
  auto too_big = co_await client->call(w.address, Echo::kMethod, {}, Buffer::zeros((16u << 20) + 1), 5s);
  EXPECT_EQ(too_big.error().code, Errc::too_big);
  EXPECT_EQ(w.server->connections(), 1u);
  co_await stop_all(w, *client);
}
TEST(Rpc, LargePayloadsAndBackPressure) {
  World w;
  w.start({.queued_bytes = 1u << 20});
  w.run(big_test(w));
}

Task<void> deadline_test(World& w) {
  auto client = Client::create(w.env, identity(0));
  auto late = co_await call(*client, w.address, Sleep{60000}, 50ms);
  EXPECT_EQ(late.error().code, Errc::timed_out);
  EXPECT_GT(w.service.last_deadline_left, Duration::zero());
  EXPECT_LE(w.service.last_deadline_left, Duration(51ms));
  auto endless = co_await call(*client, w.address, Sleep{1}, std::chrono::hours(24 * 3650));
  EXPECT_TRUE(endless.has_value());
  EXPECT_EQ(w.service.last_deadline_left, Duration::max());
  // The connection is fine, and its late answer disturbs nobody.
  auto next = co_await call(*client, w.address, Echo{"next"}, 5s);
  EXPECT_TRUE(next.has_value());
  EXPECT_EQ(client->stats().calls_timed_out, 1u);
  EXPECT_EQ(client->stats().connections_made, 1u);
  co_await client->stop();
}
TEST(Rpc, DeadlinesEndCalls) {
  World w;
  w.start();
  w.run(deadline_test(w));
}

Task<void> sleep_call(World& w, Client& client, u64 ms, std::vector<Errc>& out) {
  auto reply = co_await call(client, w.address, Sleep{ms}, 20s);
  out.push_back(reply ? Errc::ok : reply.error().code);
}
Task<void> death_test(World& w) {
  auto client = Client::create(w.env, identity(0));
  std::vector<Errc> out;
  runtime::Scope scope(w.env.executor());
  for (int i = 0; i < 5; ++i) scope.spawn(sleep_call(w, *client, 60000, out));
  while (w.service.begun < 5) co_await w.env.executor().sleep(1ms);
  w.server.reset();
  co_await scope.join();
  EXPECT_EQ(out, std::vector<Errc>(5, Errc::connection_lost));
  // Nobody listens now: surely not applied, and during the back-off without another dial.
  auto refused = co_await call(*client, w.address, Echo{"x"}, 5s);
  EXPECT_EQ(refused.error().code, Errc::unavailable);
  const u64 dials = client->stats().dials_failed;
  auto fast = co_await call(*client, w.address, Echo{"x"}, 5s);
  EXPECT_EQ(fast.error().code, Errc::unavailable);
  EXPECT_EQ(client->stats().dials_failed, dials);
  // Back again: the next call after the back-off finds it.
  w.server = Server::start(w.env, w.address, identity(7), w.service.methods).value();
  co_await w.env.executor().sleep(60ms);
  auto again = co_await call(*client, w.address, Echo{"x"}, 5s);
  EXPECT_TRUE(again.has_value());
  co_await stop_all(w, *client);
}
TEST(Rpc, ADeadPeerEndsCallsAndIsFoundAgain) {
  World w;
  w.start();
  w.run(death_test(w));
}

Task<void> refusal_test(World& w, Identity who, Errc expected) {
  auto client = Client::create(w.env, who);
  auto reply = co_await call(*client, w.address, Echo{"x"}, 5s);
  EXPECT_FALSE(reply.has_value());
  if (!reply) EXPECT_EQ(reply.error().code, expected) << reply.error().to_string();
  EXPECT_EQ(w.service.begun, 0u);
  co_await stop_all(w, *client);
}
TEST(Rpc, AnotherClusterIsRefused) {
  World w;
  w.start();
  w.run(refusal_test(w, identity(1, "a common secret", 2), Errc::wrong_cluster));
}
TEST(Rpc, AnotherSecretIsRefused) {
  World w;
  w.start();
  w.run(refusal_test(w, identity(1, "not the secret"), Errc::access_denied));
}

Task<void> overload_test(World& w) {
  auto client = Client::create(w.env, identity(0));
  std::vector<Errc> out;
  runtime::Scope scope(w.env.executor());
  for (int i = 0; i < 12; ++i) scope.spawn(sleep_call(w, *client, 100, out));
  co_await scope.join();
  EXPECT_EQ(std::count(out.begin(), out.end(), Errc::ok), 8);
  EXPECT_EQ(std::count(out.begin(), out.end(), Errc::overloaded), 4);
  out.clear();
  scope.spawn(sleep_call(w, *client, 1, out));
  co_await scope.join();
  EXPECT_EQ(out, std::vector<Errc>{Errc::ok});
  co_await stop_all(w, *client);
}
TEST(Rpc, ABusyServerSaysSo) {
  World w;
  w.start({.calls_in_flight = 8});
  w.run(overload_test(w));
}
Task<void> client_overload_test(World& w) {
  auto client = Client::create(w.env, identity(0), nullptr, {.calls_in_flight = 3});
  std::vector<Errc> out;
  runtime::Scope scope(w.env.executor());
  scope.spawn(sleep_call(w, *client, 1, out));
  co_await scope.join();
  for (int i = 0; i < 5; ++i) scope.spawn(sleep_call(w, *client, 50, out));
  EXPECT_EQ(std::count(out.begin(), out.end(), Errc::overloaded), 2);
  co_await scope.join();
  EXPECT_EQ(std::count(out.begin(), out.end(), Errc::ok), 4);
  co_await stop_all(w, *client);
}
TEST(Rpc, ABusyClientSaysSo) {
  World w;
  w.start();
  w.run(client_overload_test(w));
}

Task<void> back_test(World& w) {
  Service mine(w.env);
  auto client = Client::create(w.env, identity(5), &mine.methods);
  auto reply = co_await call(*client, w.address, AskBack{"and you?"}, 5s);
  EXPECT_TRUE(reply.has_value());
  if (reply) {
    EXPECT_EQ(reply->message.text, "and you?");
    EXPECT_EQ(reply->message.from, 7);  // the server asked
  }
  EXPECT_EQ(mine.begun, 1u);
  auto mute = Client::create(w.env, identity(6));
  auto refused = co_await call(*mute, w.address, AskBack{"x"}, 5s);
  EXPECT_EQ(refused.error().code, Errc::unsupported);
  co_await mute->stop();
  co_await stop_all(w, *client);
}
TEST(Rpc, ServersCallBack) {
  World w;
  w.start();
  w.run(back_test(w));
}

// A peer by hand: says a proper hello, then whatever the test wants.
Task<Result<std::unique_ptr<runtime::Stream>>> greet(World& w) {
  std::unique_ptr<runtime::Stream> stream = co_await w.env.network().connect(w.address);
  const Identity self = identity(9);
  detail::Hello mine{.cluster = self.cluster, .node = self.node};
  detail::SendQueue queue;
  queue.push({.type = FrameType::hello, .method = detail::kClientHello}, wire::encode(mine), {});
  co_await stream->write(queue.take());
  detail::FrameReader reader(4096);
  std::optional<Frame> frame;
  while (!frame) {
    const std::size_t got = co_await stream->read(reader.space());
    reader.filled(got);
    frame = co_await reader.next();
  }
  const detail::Hello theirs = co_await wire::decode<detail::Hello>(frame->body);
  detail::ClientProof proof{detail::make_proof(detail::Side::client, self.secret, mine, theirs)};
  queue.push({.type = FrameType::hello, .method = detail::kClientProof}, wire::encode(proof), {});
  co_await stream->write(queue.take());
  co_return stream;
}
// True when the server answers with the end of the stream.
Task<bool> is_closed_after(World& w, std::string bytes) {
  auto stream = co_await greet(w);
  if (!stream) co_return false;
  (void)co_await (*stream)->write(std::vector<Buffer>(1, Buffer::copy_of(bytes)));
  Buffer space = Buffer::allocate(4096);
  auto got = co_await (*stream)->read(space.mutable_span());
  co_return !got || *got == 0;
}
std::string frame_bytes(std::string body, u32 body_bytes) {
  FrameHeader header{.type = FrameType::request,
                     .call = 1,
                     .method = Echo::kMethod,
                     .body_bytes = body_bytes,
                     .content_crc = content_crc(as_bytes(body), {})};
  return std::string(as_text(encode_header(header))) + body;
}
Task<void> bad_frames_test(World& w) {
  const std::string body(wire::encode(Echo{"text"}).text());
  const u32 size = static_cast<u32>(body.size());
  const std::string good = frame_bytes(body, size);
  EXPECT_FALSE(co_await is_closed_after(w, good));  // or the test could not see anything
  EXPECT_EQ(w.service.begun, 1u);
  std::string bad_body = good;
  bad_body.back() ^= 1;
  EXPECT_TRUE(co_await is_closed_after(w, bad_body));
  std::string bad_header = good;
  bad_header[9] ^= 1;
  EXPECT_TRUE(co_await is_closed_after(w, bad_header));
  EXPECT_TRUE(co_await is_closed_after(w, frame_bytes(body, (16u << 20) + 1)));
  EXPECT_TRUE(co_await is_closed_after(w, std::string(100, 'x')));
  EXPECT_EQ(w.service.begun, 1u);
  co_await w.server->stop();
}
TEST(Rpc, DamagedOrOversizeFramesCloseTheConnection) {
  World w;
  w.start();
  w.run(bad_frames_test(w));
}

Task<void> no_hello_test(World& w) {
  auto stream = co_await w.env.network().connect(w.address);
  EXPECT_TRUE(stream.has_value());
  const std::string body(wire::encode(Echo{"text"}).text());
  const std::string request = frame_bytes(body, static_cast<u32>(body.size()));
  (void)co_await (*stream)->write(std::vector<Buffer>(1, Buffer::copy_of(request)));
  Buffer space = Buffer::allocate(4096);
  auto got = co_await (*stream)->read(space.mutable_span());
  EXPECT_TRUE(!got || *got == 0);
  EXPECT_EQ(w.service.begun, 0u);
  co_await w.server->stop();
}
TEST(Rpc, NothingIsServedBeforeTheHello) {
  World w;
  w.start();
  w.run(no_hello_test(w));
}

Task<void> destroy_test(World& w) {
  auto client = Client::create(w.env, identity(0));
  std::vector<Errc> out;
  runtime::Scope scope(w.env.executor());
  for (int i = 0; i < 3; ++i) scope.spawn(sleep_call(w, *client, 60000, out));
  while (w.service.begun < 3) co_await w.env.executor().sleep(1ms);
  client.reset();  // under its callers: they learn it
  co_await scope.join();
  EXPECT_EQ(out, std::vector<Errc>(3, Errc::connection_lost));
}
TEST(Rpc, OwnersMayGoInAnyOrder) {
  World w;
  w.start();
  w.run(destroy_test(w));
  w.server.reset();
}

}  // namespace
}  // namespace claudefs::net::test
