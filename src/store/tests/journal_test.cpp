// Goal: a journal holds exactly what was acknowledged and not dropped, through crashes, file removal and the
// moving of old data; a dropped segment never comes back. Method: random operations on the simulator against
// a model that knows lengths only: the byte at each place of a segment is a function of the place. At a crash
// one operation is under way; it may have happened or not.
#include "store/journal.h"

#include <gtest/gtest.h>

#include <set>

#include "sim/run.h"
#include "store/detail/journal_index.h"

namespace claudefs::store {
namespace {
using runtime::Task;
using namespace std::chrono_literals;

constexpr u64 kLimit = 64_MiB;

Buffer bytes_of(SegmentId segment, u32 offset, u32 length) {
  static const Buffer pattern = [] {
    sim::RandomStream random(1, "pattern");
    Buffer out = Buffer::allocate(8_MiB);
    for (std::size_t at = 0; at < out.size(); at += 8) {
      const u64 word = random.next();
      std::memcpy(out.data() + at, &word, 8);
    }
    return out;
  }();
  return pattern.slice(segment.value * 7919 % 4_MiB + offset, length);
}

struct Model {
  struct Segment {
    u32 length = 0;
    u32 maybe = 0;  // length if the append under way happened
    bool closed = false;
    bool maybe_closed = false;
    bool maybe_dropped = false;
  };
  std::map<SegmentId, Segment> live;
  std::set<SegmentId> dropped;
  u64 next = 1;
  u64 operations = 0;
  u64 disk_most = 0;
  bool crashed = true;
};

// After an opening: what the journal says settles what was open, and must agree with the rest.
Task<Result<void>> settle(Journal& journal, Model& model) {
  std::map<SegmentId, OpenSegment> held;
  for (const OpenSegment& segment : journal.segments()) held[segment.segment] = segment;
  for (SegmentId id : model.dropped) EXPECT_FALSE(held.contains(id)) << "a dropped segment came back";
  for (auto at = model.live.begin(); at != model.live.end();) {
    auto& [id, segment] = *at;
    const auto found = held.find(id);
    if (found == held.end()) {
      EXPECT_TRUE(segment.length == 0 || segment.maybe_dropped) << "segment " << id.value << " is lost";
      if (segment.maybe_dropped) model.dropped.insert(id);
      at = model.live.erase(at);
      continue;
    }
    EXPECT_TRUE(found->second.length == segment.length || found->second.length == segment.maybe)
        << found->second.length << " of " << segment.length << " or " << segment.maybe;
    EXPECT_TRUE(found->second.contiguous);
    segment.length = segment.maybe = found->second.length;
    held.erase(found);
    if (segment.length != 0) {
      const Buffer all = co_await journal.read(id, 0, segment.length);
      EXPECT_TRUE(all == bytes_of(id, 0, segment.length)) << "segment " << id.value;
    }
    segment.maybe_dropped = false;
    if (segment.maybe_closed && !segment.closed) {  // close again: then it is
      co_await journal.close(id);
      segment.closed = true;
    }
    if (segment.closed) {
      const auto refused =
          co_await journal.append(id, segment.length, std::vector<Buffer>(1, Buffer::zeros(1))).result();
      EXPECT_TRUE(!refused && refused.error().code == Errc::stale);
    }
    ++at;
  }
  EXPECT_TRUE(held.empty()) << held.size() << " segments that nobody made";
  co_return Result<void>();
}

SegmentId draw_segment(sim::RandomStream& draw, const Model& model) {
  auto at = model.live.begin();
  std::advance(at, static_cast<std::ptrdiff_t>(draw.between(0, model.live.size() - 1)));
  return at->first;
}

Task<Result<void>> operate(Journal& journal, Model& model, sim::RandomStream& draw, u64 keep) {
  const u64 kind = draw.between(0, 99);
  if (model.live.empty() || kind < 8) {
    model.live[SegmentId{model.next++}];
    co_return Result<void>();
  }
  const SegmentId id = draw_segment(draw, model);
  Model::Segment& segment = model.live[id];
  if (journal.live_bytes() > keep || kind < 10) {
    segment.maybe_dropped = true;
    co_await journal.drop(id);
    model.live.erase(id);
    model.dropped.insert(id);
    const auto late = co_await journal.append(id, 0, std::vector<Buffer>(1, Buffer::zeros(1))).result();
    EXPECT_TRUE(!late && late.error().code == Errc::stale);
  } else if (kind < 14) {
    segment.maybe_closed = true;
    const OpenSegment closed = co_await journal.close(id);
    EXPECT_EQ(closed.length, segment.length);
    segment.closed = true;
  } else if (kind < 30 && segment.length != 0) {
    const u32 offset = static_cast<u32>(draw.between(0, segment.length - 1));
    const u32 length = static_cast<u32>(draw.between(1, segment.length - offset));
    const Buffer got = co_await journal.read(id, offset, length);
    EXPECT_TRUE(got == bytes_of(id, offset, length));
    const auto beyond = co_await journal.read(id, offset, segment.length - offset + 1).result();
    EXPECT_TRUE(!beyond && beyond.error().code == Errc::not_found);
  } else if (!segment.closed && segment.length < 2_MiB) {
    const u32 length = static_cast<u32>(draw.coin() ? draw.between(1, 5000) : draw.between(1, 1_MiB));
    // Now and then the end is sent again, as a client does that lost our answer.
    const u32 offset = draw.chance(100'000) ? segment.length / 2 : segment.length;
    segment.maybe = std::max(segment.length, offset + length);
    co_await journal.append(id, offset, std::vector<Buffer>(1, bytes_of(id, offset, length)));
    segment.length = segment.maybe;
  }
  co_return Result<void>();
}

Task<Result<void>> live(sim::Node& node, Model& model, sim::RandomStream& draw, u64 keep) {
  const std::unique_ptr<Journal> journal = co_await Journal::open(node, "journal", kLimit);
  co_await settle(*journal, model);
  for (;;) {
    co_await operate(*journal, model, draw, keep);
    ++model.operations;
    model.disk_most = std::max(model.disk_most, journal->disk_bytes());
  }
}
Task<void> live_and_report(sim::Node& node, Model& model, sim::RandomStream& draw, u64 keep) {
  const auto ended = co_await live(node, model, draw, keep);
  ADD_FAILURE() << ended.error().to_string();
}

TEST(Journal, AgreesWithTheModelThroughCrashes) {
  u64 operations = 0;
  u64 disk_most = 0;
  for (u64 seed = 1; seed <= 6 && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    sim::World world(seed);
    sim::Node& node = world.add_node("a");
    auto draw = world.stream("test");
    Model model;
    const u64 keep = draw.between(1_MiB, 30_MiB);
    for (int round = 0; round < 6; ++round) {
      {
        runtime::Scope scope(node.executor());
        scope.spawn(live_and_report(node, model, draw, keep));
        world.run_for(draw.between_times(1ms, 300ms));
        node.crash();
      }
      node.restart();
    }
    operations += model.operations;
    disk_most = std::max(disk_most, model.disk_most);
  }
  EXPECT_GT(operations, 1000u);
  EXPECT_GT(disk_most, kLimit / 2) << "the test must fill the journal";
  EXPECT_LE(disk_most, kLimit + 4_MiB);
}

Task<Result<void>> fill(sim::Node& node, u64& live_bytes) {
  const std::unique_ptr<Journal> journal = co_await Journal::open(node, "journal", kLimit);
  for (u64 i = 1; i < 100; ++i) {
    const auto put =
        co_await journal->append(SegmentId{i}, 0, std::vector<Buffer>(1, Buffer::zeros(1_MiB))).result();
    live_bytes = journal->live_bytes();
    if (!put && put.error().code != Errc::no_space) co_return fail(put.error());
    if (!put) break;
  }
  // Room comes back with drops, wherever they are.
  for (u64 i = 1; i < 30; i += 2) co_await journal->drop(SegmentId{i});
  for (u64 i = 201; i < 212; ++i)
    co_await journal->append(SegmentId{i}, 0, std::vector<Buffer>(1, Buffer::zeros(1_MiB)));
  co_await journal->stop();
  co_return Result<void>();
}
TEST(Journal, SaysWhenItIsFullAndGoesOnAfterDrops) {
  sim::World world(1);
  sim::Node& node = world.add_node("a");
  u64 live_bytes = 0;
  const auto done = sim::run(world, node, fill(node, live_bytes));
  EXPECT_TRUE(done->has_value()) << done->error().to_string();
  EXPECT_EQ(live_bytes, kLimit / 8 * 5);
}

// The pure index: overlapping appends, against a byte-by-byte picture.
TEST(JournalIndex, OverlapsReadLikeALaterWrite) {
  sim::RandomStream draw(1, "index");
  for (int round = 0; round < 200; ++round) {
    detail::JournalIndex index;
    std::vector<std::pair<u32, u32>> picture(300);  // (record, byte of it) for each byte; record 0: nothing
    u32 length = 0;
    for (u32 record = 1; record < 20; ++record) {
      const u32 offset = static_cast<u32>(draw.between(0, 250));
      const u32 count = static_cast<u32>(draw.between(1, 40));
      index.append(SegmentId{5}, offset, {count, {record % 3, record, 0}, 9}, {});
      for (u32 i = 0; i < count; ++i) picture[offset + i] = {record, 9 + i};
      length = std::max(length, offset + count);
    }
    u64 held = 0;
    for (u32 i = 0; i < picture.size(); ++i) {
      const auto found = index.find(SegmentId{5}, i, 1);
      ASSERT_EQ(found.has_value(), picture[i].first != 0);
      if (!found) continue;
      ++held;
      const auto& [begin, extent] = found->at(0);
      EXPECT_EQ(extent.record.offset, picture[i].first);
      EXPECT_EQ(extent.skip + (i - begin), picture[i].second);
    }
    EXPECT_EQ(index.live_bytes(), held);
    EXPECT_EQ(index.live_bytes_in(0) + index.live_bytes_in(1) + index.live_bytes_in(2), held);
    EXPECT_EQ(index.describe(SegmentId{5}).length, length);
    EXPECT_EQ(index.describe(SegmentId{5}).contiguous, held == length);
  }
}
TEST(JournalIndex, ADropIsKeptWhileAnOlderFileMentionsTheSegment) {
  detail::JournalIndex index;
  index.append(SegmentId{1}, 0, {10, {1, 0, 0}, 0}, {});
  index.append(SegmentId{2}, 0, {10, {1, 50, 0}, 0}, {});
  index.drop(SegmentId{1}, 2);
  EXPECT_FALSE(index.is_dead(1));
  EXPECT_FALSE(index.is_dead(2));
  index.drop(SegmentId{2}, 3);
  EXPECT_TRUE(index.is_dead(1));
  EXPECT_FALSE(index.is_dead(2));
  index.forget_file(1);
  EXPECT_TRUE(index.is_dead(2));
  EXPECT_TRUE(index.is_dead(3));
}

}  // namespace
}  // namespace claudefs::store
