// Goal: a shard is there whole or not at all, and every flipped bit is found when it is read.
// Method: random shards against a map, on real files; crashes in the simulator.
#include "store/shard_store.h"

#include <map>
#include <random>

#include "sim/run.h"
#include "store/detail/shard_format.h"
#include "store/tests/support.h"

namespace claudefs::store {
namespace {
using namespace detail;
using runtime::Env;
using runtime::Task;
using namespace std::chrono_literals;

using Model = std::map<ShardKey, std::string>;

ShardKey key_of(u64 n) { return {SegmentId{n * 37 % 1000}, static_cast<u8>(n % 6), static_cast<u32>(n % 3)}; }
std::string content_of(ShardKey key, u32 length) {
  std::mt19937_64 random(key.segment.value * 1000 + key.index * 10 + key.generation);
  std::string out(length, '\0');
  for (char& c : out) c = static_cast<char>(random());
  return out;
}
std::vector<Buffer> pieces_of(std::string_view text, std::size_t piece) {
  std::vector<Buffer> out;
  for (std::size_t at = 0; at < text.size(); at += piece)
    out.push_back(Buffer::copy_of(text.substr(at, piece)));
  return out;
}

class ShardStoreTest : public testing::Test {
 protected:
  void open(u64 bytes_max = 1_GiB) {
    auto opened = store::run(*reactor, ShardStore::open(reactor->env(), directory.path(), bytes_max));
    ASSERT_TRUE(opened.has_value()) << opened.error().to_string();
    shards = std::move(*opened);
  }
  Result<void> write(ShardKey key, std::string_view text, std::size_t piece = 10'000) {
    return store::run(*reactor, shards->write(key, pieces_of(text, piece)));
  }
  Result<Buffer> read(ShardKey key, u32 offset, u32 length) {
    return store::run(*reactor, shards->read(key, offset, length));
  }
  std::string path(ShardKey key, u32 length) {
    return directory / ("shards/" + shard_directory_name(key.segment) + "/" + shard_file_name({key, length}));
  }
  TemporaryDirectory directory;
  std::unique_ptr<runtime::Reactor> reactor = make_reactor();
  std::unique_ptr<ShardStore> shards;
};

TEST_F(ShardStoreTest, HoldsWhatWasWrittenAlsoAfterReopening) {
  open();
  std::mt19937_64 random(5);
  Model model;
  u64 used = 0;
  for (u64 n = 0; n < 60; ++n) {
    const u32 length = static_cast<u32>(random() % 4 == 0 ? random() % 3 * 4096 : random() % 50'000);
    model[key_of(n)] = content_of(key_of(n), length);
    ASSERT_TRUE(write(key_of(n), model[key_of(n)], 1 + random() % 9000).has_value());
    used += shard_file_bytes(length);
  }
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(shards->used_bytes(), used);
    const auto list = shards->list();
    ASSERT_EQ(list.size(), model.size());
    std::size_t place = 0;
    for (const auto& [key, text] : model) {
      EXPECT_EQ(list[place].key, key);
      EXPECT_EQ(list[place++].length, text.size());
      const u32 offset = text.empty() ? 0 : static_cast<u32>(random() % text.size());
      const u32 length = static_cast<u32>(random() % (text.size() - offset + 1));
      const auto got = read(key, offset, length);
      ASSERT_TRUE(got.has_value()) << got.error().to_string();
      EXPECT_EQ(got->text(), text.substr(offset, length));
      EXPECT_EQ(read(key, offset, static_cast<u32>(text.size()) - offset + 1).error().code,
                Errc::out_of_range);
    }
    open();
  }
  const ShardKey gone = model.begin()->first;
  EXPECT_TRUE(store::run(*reactor, shards->remove(gone)).has_value());
  EXPECT_TRUE(store::run(*reactor, shards->remove(gone)).has_value());
  EXPECT_FALSE(shards->contains(gone));
  EXPECT_EQ(read(gone, 0, 0).error().code, Errc::not_found);
  store::run(*reactor, [](ShardStore& s) -> Task<int> {
    co_await s.stop();
    co_return 0;
  }(*shards));
  open();
  EXPECT_EQ(shards->list().size(), model.size() - 1);
}

TEST_F(ShardStoreTest, EveryFlippedBitIsFoundWhenItsBlockIsRead) {
  open();
  const ShardKey key{SegmentId{9}, 1, 2};
  const std::string text = content_of(key, 20'000);
  ASSERT_TRUE(write(key, text).has_value());
  const u64 size = std::filesystem::file_size(path(key, 20'000));
  EXPECT_EQ(size, shard_file_bytes(20'000));
  std::mt19937_64 random(6);
  for (int round = 0; round < 300; ++round) {
    const u64 byte = round < 84 ? static_cast<u64>(round) : random() % size;  // the whole head, then anywhere
    flip_bit(path(key, 20'000), byte, round % 8);
    open();  // forgets the head that it had read
    const bool padding = byte >= kShardHeader + 4 * shard_blocks(20'000) && byte < shard_data_at(20'000);
    const auto got = read(key, 0, 20'000);
    EXPECT_EQ(got.has_value(), padding) << byte;
    const auto verified = store::run(*reactor, shards->verify(key));
    ASSERT_FALSE(verified) << byte;
    EXPECT_EQ(verified.error().code, Errc::corrupt) << byte;
    if (!got) {
      EXPECT_EQ(got.error().code, Errc::corrupt) << byte;
    }
    if (byte >= shard_data_at(20'000) + kShardBlock) {
      EXPECT_TRUE(read(key, 0, kShardBlock).has_value());
    }
    flip_bit(path(key, 20'000), byte, round % 8);
    EXPECT_TRUE(store::run(*reactor, shards->verify(key)));
  }
}

TEST_F(ShardStoreTest, VerifyingReadsTheFileAndNotWhatIsKeptOfIt) {
  open();
  const ShardKey key{SegmentId{9}, 1, 2};
  ASSERT_TRUE(write(key, content_of(key, 5000)));
  ASSERT_TRUE(read(key, 0, 5000));  // keeps the head
  flip_bit(path(key, 5000), 64, 0);
  EXPECT_TRUE(read(key, 0, 5000));
  EXPECT_FALSE(store::run(*reactor, shards->verify(key)));
  flip_bit(path(key, 5000), 64, 0);
  const u64 size = std::filesystem::file_size(path(key, 5000));
  for (const u64 other : {size - 1, size + 1, u64{100}}) {
    std::filesystem::resize_file(path(key, 5000), other);
    EXPECT_FALSE(store::run(*reactor, shards->verify(key))) << other;
  }
  std::filesystem::remove(path(key, 5000));
  EXPECT_EQ(store::run(*reactor, shards->verify(key)).error().code, Errc::not_found);
  EXPECT_TRUE(shards->contains(key)) << "lost, and not known to be removed";
}

TEST_F(ShardStoreTest, RetriesAreFineOtherBytesAreRefusedDamageIsReplaced) {
  open();
  const ShardKey key{SegmentId{9}, 1, 2};
  const std::string text = content_of(key, 20'000);
  ASSERT_TRUE(write(key, text).has_value());
  EXPECT_TRUE(write(key, text, 7).has_value());
  EXPECT_EQ(write(key, text.substr(1)).error().code, Errc::exists);
  std::string other = text;
  other[9999] ^= 1;
  EXPECT_EQ(write(key, other).error().code, Errc::exists);
  flip_bit(path(key, 20'000), 9000, 0);
  EXPECT_EQ(read(key, 0, 20'000).error().code, Errc::corrupt);
  EXPECT_TRUE(write(key, text).has_value());
  EXPECT_EQ(read(key, 0, 20'000)->text(), text);
  EXPECT_EQ(shards->used_bytes(), shard_file_bytes(20'000));
}

TEST_F(ShardStoreTest, AFileUnderAWrongNameIsFound) {
  open();
  const ShardKey key{SegmentId{9}, 1, 2};
  const ShardKey other{SegmentId{9}, 2, 2};
  ASSERT_TRUE(write(key, content_of(key, 5000)).has_value());
  std::filesystem::rename(path(key, 5000), path(other, 5000));
  open();
  EXPECT_EQ(read(other, 0, 100).error().code, Errc::corrupt);
}

TEST_F(ShardStoreTest, LimitsItsSpaceAndClearsLeftovers) {
  open(100'000);
  EXPECT_TRUE(write({SegmentId{1}, 0, 0}, std::string(60'000, 'x')).has_value());
  EXPECT_EQ(write({SegmentId{2}, 0, 0}, std::string(60'000, 'x')).error().code, Errc::no_space);
  const std::string leftover = directory / "shards/01/tmp.4";
  std::ofstream(leftover) << "half a shard";
  open(100'000);
  EXPECT_FALSE(std::filesystem::exists(leftover));
  EXPECT_EQ(shards->list().size(), 1u);
}

struct Acknowledged {
  Model written;
  std::map<ShardKey, u32> issued;
};
Task<void> write_one(ShardStore& shards, ShardKey key, std::string text, Acknowledged& known) {
  known.issued[key] = static_cast<u32>(text.size());
  std::vector<Buffer> pieces = pieces_of(text, 3000);
  const auto done = co_await shards.write(key, std::move(pieces));
  EXPECT_TRUE(done.has_value()) << done.error().to_string();
  known.written[key] = std::move(text);
}
Task<Result<void>> check_all(ShardStore& shards, Acknowledged& known) {
  u64 used = 0;
  const std::vector<ShardInfo> list = shards.list();
  for (const ShardInfo& info : list) {
    used += shard_file_bytes(info.length);
    EXPECT_TRUE(known.issued.contains(info.key) && known.issued[info.key] == info.length);
    const Buffer got = co_await shards.read(info.key, 0, info.length);
    EXPECT_EQ(got.text(), content_of(info.key, info.length)) << "there, but not whole";
    known.written[info.key] = content_of(info.key, info.length);  // seen once: stays
  }
  EXPECT_EQ(used, shards.used_bytes());
  for (const auto& [key, text] : known.written)
    EXPECT_TRUE(shards.contains(key)) << "an acknowledged shard is lost";
  co_return Result<void>();
}
Task<Result<void>> live(sim::Node& node, sim::RandomStream& draw, Acknowledged& known) {
  const std::unique_ptr<ShardStore> shards = co_await ShardStore::open(node, "disk", 1_GiB);
  co_await check_all(*shards, known);
  runtime::Scope scope(node.executor());
  for (;;) {
    const ShardKey key = key_of(draw.next());
    const u32 length = static_cast<u32>(draw.between(0, 30'000));
    if (!known.issued.contains(key) || known.issued[key] == length)
      scope.spawn(write_one(*shards, key, content_of(key, length), known));
    co_await node.executor().sleep(draw.between_times(0us, 400us));
  }
}
Task<void> live_and_report(sim::Node& node, sim::RandomStream& draw, Acknowledged& known) {
  const auto ended = co_await live(node, draw, known);
  ADD_FAILURE() << ended.error().to_string();
}
TEST(ShardStoreSim, AcknowledgedShardsSurviveCrashesOthersAreWholeOrAbsent) {
  u64 written = 0;
  for (u64 seed = 1; seed <= 30 && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    sim::World world(seed);
    sim::Node& node = world.add_node("a");
    auto draw = world.stream("test");
    Acknowledged known;
    for (int round = 0; round < 5; ++round) {
      {
        runtime::Scope scope(node.executor());
        scope.spawn(live_and_report(node, draw, known));
        world.run_for(draw.between_times(1ms, 60ms));
        node.crash();
      }
      node.restart();
    }
    written += known.written.size();
  }
  EXPECT_GT(written, 500u);
}

}  // namespace
}  // namespace claudefs::store
