// Goal: a node starts beside its own two devices only: none swapped, missing, of another node or another
// time; what was lost or moved is taken up when the operator says so, and never comes back unseen. Method:
// each mistake once, on real files; crashes at any point of formatting and pairing in the simulator.
#include "store/devices.h"

#include "base/tests/with_mutant.h"
#include "sim/run.h"
#include "store/tests/support.h"

namespace claudefs::store {
namespace {

Owner owner(u16 node = 7, int cluster = 1) {
  Owner out;
  out.cluster[3] = static_cast<std::byte>(cluster);
  out.node = NodeId{node};
  return out;
}

class DevicesTest : public testing::Test {
 protected:
  Result<Devices> open(const std::string& data, const std::string& fast, Owner who = owner()) {
    return claudefs::store::run(*reactor, open_devices(reactor->env(), {data, fast}, who));
  }
  Result<void> pair(const std::string& data, const std::string& fast) {
    return claudefs::store::run(*reactor, pair_devices(reactor->env(), {data, fast}, owner()));
  }
  // A node that has run with both.
  Devices make() {
    const Result<Devices> made = open(data, fast);
    EXPECT_TRUE(made.has_value()) << made.error().to_string();
    std::filesystem::create_directories(data + "/shards");
    for (const char* name : {"/journal", "/meta", "/raft"}) std::filesystem::create_directories(fast + name);
    return *made;
  }
  // Says so, and what to do.
  void expect_refused(const Result<Devices>& opened, Errc code, std::initializer_list<const char*> words) {
    ASSERT_FALSE(opened.has_value());
    EXPECT_EQ(opened.error().code, code) << opened.error().to_string();
    for (const char* word : words)
      EXPECT_NE(opened.error().text.find(word), std::string::npos) << word << ": " << opened.error().text;
  }
  TemporaryDirectory directory;
  const std::string data = directory / "large/data", fast = directory / "nvme/fast";
  std::unique_ptr<runtime::Reactor> reactor = make_reactor();
};

TEST_F(DevicesTest, AreFormattedTogetherAndFoundAgain) {
  const Devices made = make();
  EXPECT_EQ(made.data.device_class, DeviceClass::data);
  EXPECT_EQ(made.fast->device_class, DeviceClass::fast);
  EXPECT_EQ(made.data.partner, made.fast->device);
  EXPECT_EQ(made.fast->partner, made.data.device);
  const Result<Devices> again = open(data, fast);
  ASSERT_TRUE(again.has_value()) << again.error().to_string();
  EXPECT_EQ(again->data, made.data);
  EXPECT_EQ(again->fast, made.fast);
}
TEST_F(DevicesTest, SwappedOnesAreRefused) {
  make();
  expect_refused(open(fast, data), Errc::not_configured, {"swapped", "--data", "--fast", "node 7"});
}
TEST_F(DevicesTest, OneAndTheSameIsRefused) {
  expect_refused(open(data, data), Errc::invalid_argument, {"the same directory"});
}
TEST_F(DevicesTest, OfAnotherNodeOrClusterAreRefused) {
  make();
  expect_refused(open(data, fast, owner(8)), Errc::wrong_node, {"node 7", "node 8"});
  expect_refused(open(data, fast, owner(7, 2)), Errc::wrong_cluster, {"cluster"});
  const std::string others_data = directory / "8/data", others_fast = directory / "8/fast";
  ASSERT_TRUE(open(others_data, others_fast, owner(8)).has_value());
  expect_refused(open(data, others_fast), Errc::wrong_node, {others_fast.c_str(), "node 8", "node 7"});
  expect_refused(open(others_data, fast), Errc::wrong_node, {others_data.c_str(), "node 8", "node 7"});
}
TEST_F(DevicesTest, OneOfTwoAloneIsRefused) {
  make();
  expect_refused(open(data, ""), Errc::not_configured, {"--fast"});
  expect_refused(open(fast, ""), Errc::not_configured, {"swapped"});
}
TEST_F(DevicesTest, AMissingOneIsRefusedUntilItIsReplaced) {
  for (const bool loses_fast : {true, false}) {
    const Devices before = make();
    std::filesystem::remove_all(loses_fast ? fast : data);
    for (int i = 0; i < 2; ++i)  // also when the first attempt has made the directory
      expect_refused(open(data, fast), Errc::not_found,
                     {loses_fast ? fast.c_str() : data.c_str(), "--pair-devices", "mount it"});
    const Result<void> paired = pair(data, fast);
    ASSERT_TRUE(paired.has_value()) << paired.error().to_string();
    const Result<Devices> after = open(data, fast);
    ASSERT_TRUE(after.has_value()) << after.error().to_string();
    EXPECT_EQ(after->data.device == before.data.device, loses_fast);
    EXPECT_EQ(after->fast->device == before.fast->device, !loses_fast);
    EXPECT_EQ(pair(data, fast).error().code, Errc::not_configured) << "nothing is lost any more";
  }
}
TEST_F(DevicesTest, AReplacedOneThatComesBackIsRefused) {
  for (const std::string& lost : {fast, data}) {
    make();
    const std::string away = directory / "away";
    std::filesystem::rename(lost, away);
    ASSERT_TRUE(pair(data, fast).has_value());
    std::filesystem::remove_all(lost);
    std::filesystem::rename(away, lost);
    expect_refused(open(data, fast), Errc::wrong_node, {"not of the same time", "--pair-devices"});
    EXPECT_EQ(pair(data, fast).error().code, Errc::wrong_node);
    std::filesystem::remove_all(data);
    std::filesystem::remove_all(fast);
  }
}
TEST_F(DevicesTest, AFastOneForANodeThatHadNoneIsRefusedUntilItsFilesWereMoved) {
  const Result<Devices> alone = open(data, "");
  ASSERT_TRUE(alone.has_value());
  for (const char* name : {"/shards", "/journal", "/meta", "/raft"})
    std::filesystem::create_directories(data + name);
  expect_refused(open(data, fast), Errc::not_configured, {"--fast", "move", "--pair-devices"});
  EXPECT_EQ(pair(data, fast).error().code, Errc::not_configured);
  for (const char* name : {"/journal", "/meta"}) std::filesystem::rename(data + name, fast + name);
  EXPECT_EQ(pair(data, fast).error().code, Errc::not_configured) << "half of it was moved";
  std::filesystem::rename(data + "/raft", fast + "/raft");
  EXPECT_FALSE(open(data, fast).has_value());
  const Result<void> paired = pair(data, fast);
  ASSERT_TRUE(paired.has_value()) << paired.error().to_string();
  const Result<Devices> two = open(data, fast);
  ASSERT_TRUE(two.has_value()) << two.error().to_string();
  EXPECT_EQ(two->data.device, alone->data.device);
  expect_refused(open(data, ""), Errc::not_configured, {"--fast"});
}
TEST_F(DevicesTest, AFastOneForANodeThatNeverRanIsTaken) {
  ASSERT_TRUE(open(data, "").has_value());
  EXPECT_TRUE(open(data, fast).has_value());
}
TEST_F(DevicesTest, FilesOfOthersAreNeverFormatted) {
  std::filesystem::create_directories(fast);
  std::ofstream(fast + "/thesis.tex") << "do not format me";
  expect_refused(open(data, fast), Errc::invalid_argument, {"thesis.tex", fast.c_str()});
  EXPECT_FALSE(std::filesystem::exists(fast + "/superblock"));
  EXPECT_FALSE(std::filesystem::exists(data + "/superblock"));
  EXPECT_EQ(pair(data, fast).error().code, Errc::invalid_argument);
}
TEST_F(DevicesTest, ScrubbingMendsBoth) {
  const Devices made = make();
  for (const Superblock& superblock : {made.data, *made.fast}) {
    const std::string& where = superblock.device_class == DeviceClass::fast ? fast : data;
    flip_bit(where + "/superblock", 30, 1);
    EXPECT_EQ(open(data, fast).error().code, Errc::corrupt);
    const auto verify = [&] {
      return claudefs::store::run(*reactor, verify_superblock(reactor->env(), where, superblock));
    };
    EXPECT_EQ(verify().error().code, Errc::corrupt);
    EXPECT_TRUE(verify().has_value());
    EXPECT_TRUE(open(data, fast).has_value());
  }
}

runtime::Task<void> open_once(runtime::Env& env) {
  const DeviceDirectories directories{"data", "fast"};
  (void)co_await open_devices(env, directories, owner()).result();
}
runtime::Task<void> pair_once(runtime::Env& env) {
  const DeviceDirectories directories{"data", "fast"};
  (void)co_await pair_devices(env, directories, owner()).result();
}
// At a drawn point of it, and again, each time with what a crash leaves of the disk.
void crash_in(sim::World& world, sim::Node& node, runtime::Task<void> (*work)(runtime::Env&)) {
  auto draw = world.stream("crashes");
  for (int round = 0; round < 4; ++round) {
    {
      runtime::Scope scope(node.executor());
      scope.spawn(work(node));
      world.run_for(std::chrono::microseconds(draw.between(1, 8000)));
      node.crash();
    }
    node.restart();
  }
}

TEST(DevicesSim, FormattingSurvivesCrashesAtAnyPoint) {
  for (u64 seed = 1; seed <= 200; ++seed) {
    sim::World world(seed);
    sim::Node& node = world.add_node("a");
    crash_in(world, node, open_once);
    const auto opened = sim::run(world, node, open_devices(node, {"data", "fast"}, owner()));
    ASSERT_TRUE(opened->has_value()) << seed << " " << opened->error().to_string();
  }
}
TEST(DevicesSim, ReplacingSurvivesCrashesAtAnyPoint) {
  for (u64 seed = 1; seed <= 200; ++seed) {
    sim::World world(seed);
    sim::Node& node = world.add_node("a");
    ASSERT_TRUE(sim::run(world, node, open_devices(node, {"data", "fast"}, owner()))->has_value());
    const std::string lost = seed % 2 == 0 ? "data" : "fast";
    for (const char* used : {"data/shards", "fast/raft"})
      ASSERT_TRUE(sim::run(world, node, node.disk().make_directory(used))->has_value());
    node.crash();
    node.wipe_disk(lost);
    node.restart();
    const auto refused = sim::run(world, node, open_devices(node, {"data", "fast"}, owner()));
    ASSERT_EQ(refused->error().code, Errc::not_found) << seed;
    crash_in(world, node, pair_once);
    (void)sim::run(world, node, pair_devices(node, {"data", "fast"}, owner()));
    const auto opened = sim::run(world, node, open_devices(node, {"data", "fast"}, owner()));
    ASSERT_TRUE(opened->has_value()) << seed << " " << opened->error().to_string();
  }
}

}  // namespace
}  // namespace claudefs::store
