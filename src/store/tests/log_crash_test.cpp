// Goal: whatever moment a node dies at, an acknowledged record replays, in order, and nothing is invented.
// Method: the simulator loses and tears unflushed writes and directory operations at each crash; several
// crashes a seed. The oracle is the list of records in the order they were handed to the log: a replay must
// give what the one before gave, then a prefix of the session that covers every acknowledgement.
#include <gtest/gtest.h>

#include "sim/run.h"
#include "store/log.h"

namespace claudefs::store {
namespace {
using runtime::Task;
using namespace std::chrono_literals;

constexpr u32 kMagic = 0x54534554;
constexpr LogOptions kSmall{.file_bytes = 64 << 10, .record_bytes_max = 16 << 10};

struct History {
  std::vector<u64> durable;      // as the last replay gave it
  std::vector<u64> session;      // issued since, in order
  std::size_t acknowledged = 0;  // records at the head of `session`
  u64 next = 0;
  std::size_t opened = 0;
  bool failed = false;
};

Buffer record_of(u64 n, u64 size) {
  Buffer out = Buffer::zeros(8 + size);
  std::memcpy(out.data(), &n, 8);
  return out;
}
Task<void> append_one(Log& log, History& history, std::size_t place, Buffer content) {
  const auto done = co_await log.append(std::vector<Buffer>(1, std::move(content)));
  if (done)
    history.acknowledged = std::max(history.acknowledged, place + 1);
  else
    history.failed = true;
}
void check_replay(History& history, const std::vector<u64>& replayed) {
  EXPECT_GE(replayed.size(), history.durable.size() + history.acknowledged)
      << "acknowledged records are lost";
  std::vector<u64> allowed = history.durable;
  allowed.insert(allowed.end(), history.session.begin(), history.session.end());
  EXPECT_LE(replayed.size(), allowed.size());
  allowed.resize(std::min(allowed.size(), replayed.size()));
  EXPECT_EQ(replayed, allowed);
  history.durable = replayed;
  history.session.clear();
  history.acknowledged = 0;
}

// Lives until the crash destroys it.
Task<void> live(sim::Node& node, sim::RandomStream& draw, History& history) {
  std::vector<u64> replayed;
  std::size_t damaged = 0;
  Replay replay{.record =
                    [&replayed](LogPosition, const Buffer& content) {
                      u64 n = 0;
                      std::memcpy(&n, content.data(), 8);
                      replayed.push_back(n);
                    },
                .damaged = [&damaged](LogPosition, std::string) { ++damaged; }};
  auto opened = co_await Log::open(node, "log", kMagic, kSmall, std::move(replay));
  if (!opened) co_return;  // a flush failed while it opened: as good as a crash
  ++history.opened;
  EXPECT_EQ(damaged, 0u) << "a torn tail was taken for damage";
  check_replay(history, replayed);
  history.failed = false;
  Log& log = **opened;
  runtime::Scope scope(node.executor());
  while (!history.failed) {
    const u64 together = draw.between(1, 12);
    for (u64 i = 0; i < together; ++i) {
      const u64 n = history.next++;
      history.session.push_back(n);
      const u64 size = draw.coin() ? draw.between(0, 200) : draw.between(0, 12'000);
      scope.spawn(append_one(log, history, history.session.size() - 1, record_of(n, size)));
    }
    if (draw.chance(50'000)) log.roll();
    co_await node.executor().sleep(draw.between_times(0us, 2ms));
  }
  co_await scope.join();
  const auto late = co_await log.append(std::vector<Buffer>(1, record_of(0, 0)));
  EXPECT_FALSE(late.has_value()) << "a dead log must stay dead";
}

void crash_often(u64 seed, bool failing_flushes, std::size_t& opened) {
  SCOPED_TRACE(seed);
  sim::World world(seed);
  sim::Node& node = world.add_node("a");
  auto draw = world.stream("test");
  History history;
  for (int round = 0; round < 8; ++round) {
    if (failing_flushes && draw.coin())
      world.after(draw.between_times(1ms, 60ms), [&node] { node.fail_flushes(1); });
    {
      runtime::Scope scope(node.executor());
      scope.spawn(live(node, draw, history));
      world.run_for(draw.between_times(100us, 80ms));
      node.crash();
    }
    node.restart();
  }
  opened += history.opened;
}

TEST(LogCrash, AcknowledgedRecordsSurviveAndNothingIsInvented) {
  std::size_t opened = 0;
  for (u64 seed = 1; seed <= 80 && !testing::Test::HasFailure(); ++seed) crash_often(seed, false, opened);
  EXPECT_GT(opened, 300u);
}
TEST(LogCrash, NothingIsAcknowledgedAfterAFailedFlush) {
  std::size_t opened = 0;
  for (u64 seed = 1; seed <= 80 && !testing::Test::HasFailure(); ++seed) crash_often(seed, true, opened);
  EXPECT_GT(opened, 300u);
}

}  // namespace
}  // namespace claudefs::store
