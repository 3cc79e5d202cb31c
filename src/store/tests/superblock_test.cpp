// Goal: a data directory is opened by its own node only, and nothing else is ever formatted.
// Method: each refusal once, on real files; crashes and a full disk in the simulator. Of two directories:
// devices_test.cpp.
#include "store/devices.h"

#include "sim/run.h"
#include "store/detail/superblock_format.h"
#include "store/tests/support.h"
#include "wire/codec.h"

namespace claudefs::store {
namespace {
std::array<std::byte, 16> id(int n) {
  std::array<std::byte, 16> out{};
  out[3] = static_cast<std::byte>(n);
  return out;
}

Result<Superblock> superblock_of(const Result<Devices>& opened) {
  if (!opened) return fail(opened.error());
  return opened->data;
}

class SuperblockTest : public testing::Test {
 protected:
  Result<Superblock> open(int cluster = 1, u16 node = 7) {
    return superblock_of(claudefs::store::run(
        *reactor, open_devices(reactor->env(), {data, ""}, {id(cluster), NodeId{node}})));
  }
  void put(const std::string& name, std::string_view bytes) {
    std::filesystem::create_directories(data);
    std::ofstream(data + "/" + name, std::ios::binary) << bytes;
  }
  TemporaryDirectory directory;
  std::string data = directory / "a/b";
  std::unique_ptr<runtime::Reactor> reactor = make_reactor();
};

TEST_F(SuperblockTest, IsWrittenOnceAndReadAgain) {
  const auto made = open();
  ASSERT_TRUE(made.has_value()) << made.error().to_string();
  EXPECT_EQ(made->node, NodeId{7});
  const auto again = open();
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->device, made->device);
  std::filesystem::remove_all(data);
  EXPECT_NE(open()->device, made->device);
}
TEST_F(SuperblockTest, RefusesAnotherClusterAndAnotherNode) {
  ASSERT_TRUE(open().has_value());
  EXPECT_EQ(open(2).error().code, Errc::wrong_cluster);
  EXPECT_EQ(open(1, 8).error().code, Errc::wrong_node);
  EXPECT_NE(open(1, 8).error().text.find("node 7"), std::string::npos);
}
TEST_F(SuperblockTest, IsWrittenAnewWhenItDoesNotCheckAnyMore) {
  const auto made = open();
  ASSERT_TRUE(made.has_value());
  const auto verify = [&] {
    return claudefs::store::run(*reactor, verify_superblock(reactor->env(), data, *made));
  };
  EXPECT_TRUE(verify().has_value());
  for (const u64 byte : {u64{0}, u64{5}, u64{13}, u64{20}}) {
    flip_bit(data + "/superblock", byte, 1);
    EXPECT_EQ(verify().error().code, Errc::corrupt);
    EXPECT_TRUE(verify().has_value());
    const auto again = open();
    ASSERT_TRUE(again.has_value()) << again.error().to_string();
    EXPECT_EQ(again->device, made->device);
  }
}
TEST_F(SuperblockTest, OfAnotherDirectoryIsLeftAlone) {
  const auto made = open(1, 8);
  ASSERT_TRUE(made.has_value());
  Superblock own = *made;
  own.device[0] ^= std::byte{1};
  const auto verified = claudefs::store::run(*reactor, verify_superblock(reactor->env(), data, own));
  EXPECT_EQ(verified.error().code, Errc::wrong_node);
  EXPECT_EQ(open(1, 8)->device, made->device);
}
TEST_F(SuperblockTest, RefusesADirectoryWithOtherFiles) {
  put("thesis.tex", "do not format me");
  EXPECT_EQ(open().error().code, Errc::invalid_argument);
  EXPECT_FALSE(std::filesystem::exists(data + "/superblock"));
}
TEST_F(SuperblockTest, FormatsBesideALockAndAnInterruptedFormatting) {
  put("lock", "");
  put("superblock.tmp", std::string(1000, 'x'));
  ASSERT_TRUE(open().has_value());
  EXPECT_TRUE(open().has_value());
}
TEST_F(SuperblockTest, RefusesEveryFlippedBitAndEveryTruncation) {
  ASSERT_TRUE(open().has_value());
  const std::string path = data + "/superblock";
  const u64 size = std::filesystem::file_size(path);
  for (u64 byte = 0; byte < size; ++byte) {
    const unsigned bit = byte % 8;
    flip_bit(path, byte, bit);
    EXPECT_EQ(open().error().code, Errc::corrupt) << byte;
    flip_bit(path, byte, bit);
  }
  ASSERT_TRUE(open().has_value());
  for (u64 left = size; left-- > 0;) {
    std::filesystem::resize_file(path, left);
    EXPECT_EQ(open().error().code, Errc::corrupt) << left;
  }
}
TEST_F(SuperblockTest, RefusesAnotherFormat) {
  Superblock later{.cluster = id(1), .node = NodeId{7}, .format = 2};
  put("superblock", detail::encode_superblock(later).text());
  EXPECT_EQ(open().error().code, Errc::wrong_version);
}
TEST_F(SuperblockTest, RefusesADirectoryThatIsNotWritable) {
  data = "/sys/claudefs-test";  // nobody may create there, not even root
  EXPECT_EQ(open().error().code, Errc::not_permitted);
}

TEST(SuperblockSim, AFullDiskIsNoSpace) {
  sim::FaultOptions faults;
  faults.disk_bytes = 10;
  sim::World world(1, faults);
  sim::Node& node = world.add_node("a");
  const auto opened = sim::run(world, node, open_devices(node, {"data", ""}, {id(1), NodeId{7}}));
  EXPECT_EQ(opened->error().code, Errc::no_space);
}
runtime::Task<void> open_once(runtime::Env& env, bool& opened) {
  DeviceDirectories directories;
  directories.data = "data";
  opened = (co_await open_devices(env, directories, Owner(id(1), NodeId{7})).result()).has_value();
}
TEST(SuperblockSim, FormattingSurvivesCrashesAtAnyPoint) {
  for (u64 seed = 1; seed <= 200; ++seed) {
    sim::World world(seed);
    sim::Node& node = world.add_node("a");
    auto draw = world.stream("test");
    for (int round = 0; round < 4; ++round) {
      bool opened = false;
      {
        runtime::Scope scope(node.executor());
        scope.spawn(open_once(node, opened));
        world.run_for(std::chrono::microseconds(draw.between(1, 3000)));
        node.crash();
      }
      node.restart();
    }
    const auto opened = sim::run(world, node, open_devices(node, {"data", ""}, {id(1), NodeId{7}}));
    ASSERT_TRUE(opened->has_value()) << seed << " " << opened->error().to_string();
  }
}

}  // namespace
}  // namespace claudefs::store
