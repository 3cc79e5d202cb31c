// Goal: streams are reliable and ordered while links hold, and end clearly when they do not.
// Method: a counting byte sequence through every kind of trouble: the reader sees a prefix, never a gap.
#include <gtest/gtest.h>

#include <bit>
#include <optional>

#include "sim/run.h"

namespace claudefs::sim {
namespace {

using namespace runtime;

std::byte pattern(u64 at) { return static_cast<std::byte>(mix(at) & 0xff); }

Task<void> send_for_ever(Stream& stream, Random& random, u64& sent, std::optional<Errc>& ended) {
  for (;;) {
    Buffer piece = Buffer::allocate(random.between(1, 200'000));
    for (std::size_t i = 0; i < piece.size(); ++i) piece.data()[i] = pattern(sent + i);
    const std::size_t size = piece.size();
    std::vector<Buffer> pieces;
    pieces.push_back(std::move(piece));
    const Result<void> put = co_await stream.write(std::move(pieces));
    if (!put) {
      ended = put.error().code;
      co_return;
    }
    sent += size;
  }
}
Task<void> receive_for_ever(Stream& stream, Random& random, u64& received, std::optional<Errc>& ended) {
  for (;;) {
    std::vector<std::byte> space(random.between(1, 100'000));
    const Result<std::size_t> got = co_await stream.read(space);
    if (!got || *got == 0) {
      ended = got ? Errc::ok : got.error().code;
      co_return;
    }
    for (std::size_t i = 0; i < *got; ++i) {
      if (space[i] == pattern(received + i)) continue;
      ADD_FAILURE() << "byte " << received + i;
      co_return;
    }
    received += *got;
  }
}

// Two nodes with one connection, a's end sending and b's receiving.
struct Rig {
  World world;
  Node& a;
  Node& b;
  std::unique_ptr<Listener> listener;
  std::unique_ptr<Stream> near, far;
  u64 sent = 0, received = 0;
  std::optional<Errc> send_ended, receive_ended;
  std::unique_ptr<Scope> scope_a, scope_b;

  static Task<void> accept(Rig& rig) { rig.far = std::move(*co_await rig.listener->accept()); }
  static Task<void> connect(Rig& rig) { rig.near = std::move(*co_await rig.a.network().connect("b:7000")); }
  explicit Rig(u64 seed, FaultOptions faults = {})
      : world(seed, faults), a(world.add_node("a")), b(world.add_node("b")) {
    listener = std::move(*b.network().listen("b:7000"));
    EXPECT_EQ(listener->address(), "b:7000");
    scope_a = std::make_unique<Scope>(a.executor());
    scope_b = std::make_unique<Scope>(b.executor());
    scope_b->spawn(accept(*this));
    scope_a->spawn(connect(*this));
    EXPECT_TRUE(world.run_until([&] { return near && far; }, 10s));
    scope_a->spawn(send_for_ever(*near, a.random(), sent, send_ended));
    scope_b->spawn(receive_for_ever(*far, b.random(), received, receive_ended));
  }
};

TEST(SimNetwork, BytesArriveInOrderThroughDelaysAndClogs) {
  for (u64 seed = 1; seed <= 6; ++seed) {
    FaultOptions faults;
    faults.slow_segment = 50'000;
    Rig rig(seed, faults);
    rig.world.run_for(50ms);
    EXPECT_GT(rig.received, 100'000u);
    const u64 before = rig.received;
    rig.world.clog("a", "b", 1s);
    rig.world.run_for(900ms);
    const u64 during = rig.received;
    rig.world.run_for(1s);
    EXPECT_GT(rig.received, during);
    EXPECT_LT(during - before, 330'000u);  // the window and one segment
    EXPECT_LE(rig.received, rig.sent + 200'000);
    EXPECT_FALSE(rig.send_ended || rig.receive_ended);
  }
}

TEST(SimNetwork, APartitionHoldsDataBackAndAShortOneLosesNothing) {
  Rig rig(5);
  rig.world.run_for(20ms);
  rig.world.block("a", "b");  // one direction only
  rig.world.run_for(10ms);
  const u64 before = rig.received;
  rig.world.run_for(10s);
  EXPECT_EQ(rig.received, before);
  rig.world.heal();
  rig.world.run_for(1s);
  EXPECT_GT(rig.received, before);
  EXPECT_FALSE(rig.send_ended || rig.receive_ended);
}

TEST(SimNetwork, ALongPartitionLosesTheConnectionAtBothEnds) {
  Rig rig(5);
  rig.world.partition({"a"}, {"b"});
  rig.world.run_for(30s);
  EXPECT_EQ(rig.send_ended, Errc::connection_lost);
  EXPECT_EQ(rig.receive_ended, Errc::connection_lost);
}

TEST(SimNetwork, ResetsReachBothEnds) {
  Rig forced(5);
  forced.world.run_for(10ms);
  forced.world.reset_connections("b", "a");
  forced.world.run_for(10ms);
  EXPECT_EQ(forced.send_ended, Errc::connection_lost);
  EXPECT_EQ(forced.receive_ended, Errc::connection_lost);

  FaultOptions faults;
  faults.connection_reset = 10'000;
  Rig drawn(6, faults);
  EXPECT_TRUE(drawn.world.run_until([&] { return drawn.send_ended && drawn.receive_ended; }, 60s));
}

Task<void> echo_one(Node& node, std::string& got) {
  auto listener = node.network().listen("b:7000");
  auto stream = co_await (*listener)->accept();
  std::vector<std::byte> space(100);
  const Result<std::size_t> count = co_await (*stream)->read(space);
  got.assign(reinterpret_cast<const char*>(space.data()), count.value_or(0));
}
Task<void> say_zeros(Node& node) {
  auto stream = co_await node.network().connect("b:7000");
  std::vector<Buffer> pieces;
  pieces.push_back(Buffer::zeros(100));
  (void)co_await (*stream)->write(std::move(pieces));
}

TEST(SimNetwork, ACorruptedSegmentArrivesWithOneBitFlipped) {
  World world(3);
  Node& a = world.add_node("a");
  Node& b = world.add_node("b");
  world.faults().segment_corrupted = 1'000'000;
  std::string got;
  Scope scope_b(b.executor());
  scope_b.spawn(echo_one(b, got));
  world.run_for(1ms);
  Scope scope_a(a.executor());
  scope_a.spawn(say_zeros(a));
  world.run_for(1s);
  ASSERT_EQ(got.size(), 100u);
  int bits = 0;
  for (const char c : got) bits += std::popcount(static_cast<unsigned char>(c));
  EXPECT_EQ(bits, 1);
}

TEST(SimNetwork, CloseIsEndOfStreamAfterAllBytes) {
  for (u64 seed = 1; seed <= 20; ++seed) {
    Rig rig(seed);
    rig.world.run_for(5ms);
    rig.near->close();
    rig.world.run_for(1s);
    EXPECT_EQ(rig.send_ended, Errc::connection_lost);
    EXPECT_EQ(rig.receive_ended, Errc::ok);
    EXPECT_GE(rig.received, rig.sent);
  }
}

TEST(SimNetwork, TheReaderLeavingIsLostForTheWriter) {
  Rig rig(1);
  rig.world.run_for(5ms);
  rig.far->close();
  rig.world.run_for(1s);
  EXPECT_EQ(rig.receive_ended, Errc::connection_lost);
  EXPECT_EQ(rig.send_ended, Errc::connection_lost);
}

TEST(SimNetwork, ACrashIsHeardOfInTheEnd) {
  for (u64 seed = 1; seed <= 20; ++seed) {
    Rig rig(seed);
    rig.world.run_for(5ms);
    rig.b.crash();
    rig.scope_b.reset();
    rig.far.reset();
    rig.listener.reset();
    rig.world.run_for(30s);
    EXPECT_EQ(rig.send_ended, Errc::connection_lost);
    rig.b.restart();
    EXPECT_TRUE(rig.b.network().listen("b:7000").has_value());
  }
}

Task<Errc> connect_code(Env& env, std::string to) {
  auto made = co_await env.network().connect(to);
  co_return made ? Errc::ok : made.error().code;
}
TEST(SimNetwork, ConnectSaysWhyNot) {
  World world(3);
  Node& a = world.add_node("a");
  Node& b = world.add_node("b");
  auto listener = std::move(*b.network().listen("b:0"));
  const std::string address = listener->address();
  EXPECT_EQ(run(world, a, connect_code(a, address)), Errc::ok);
  EXPECT_EQ(run(world, a, connect_code(a, "b:1")), Errc::unavailable);
  EXPECT_EQ(run(world, a, connect_code(a, "nobody:1")), Errc::unavailable);
  EXPECT_EQ(run(world, a, connect_code(a, "b")), Errc::invalid_argument);
  EXPECT_EQ(b.network().listen(address).error().code, Errc::address_in_use);
  EXPECT_EQ(a.network().listen(address).error().code, Errc::invalid_argument);
  for (const bool forward : {true, false}) {
    forward ? world.block("a", "b") : world.block("b", "a");
    const Instant before = world.now();
    EXPECT_EQ(run(world, a, connect_code(a, address)), Errc::timed_out);
    EXPECT_GE(world.now() - before, 5s);
    world.heal();
  }
  EXPECT_EQ(run(world, a, connect_code(a, address)), Errc::ok);
}

}  // namespace
}  // namespace claudefs::sim
