// Goal: the simulated disk loses what a crash may lose, keeps what was flushed, and fails as told.
// Method: random histories over many seeds, against models that say what each crash may leave.
#include <gtest/gtest.h>

#include "sim/run.h"

namespace claudefs::sim {
namespace {

using namespace runtime;

std::vector<Buffer> one(Buffer b) {
  std::vector<Buffer> out;
  out.push_back(std::move(b));
  return out;
}
Buffer filled(std::size_t size, char with) { return Buffer::copy_of(std::string(size, with)); }

Task<Result<std::string>> read_all(Env& env, std::string path) {
  auto file = co_await env.disk().open(path, OpenMode::read_only);
  const u64 size = co_await file->size();
  Buffer space = Buffer::allocate(size);
  const std::size_t got = co_await file->read_at(0, space.mutable_span());
  co_return std::string(space.slice(0, got).text());
}
Task<Result<void>> create_synced(Env& env, std::string path) {
  co_await env.disk().open(path, OpenMode::create_new);
  co_await env.disk().sync_directory("");
  co_return Result<void>();
}

// Each round overwrites the whole 4 KiB with its letter; every `flush_every`th is flushed.
Task<Result<void>> write_rounds(Env& env, int rounds, int flush_every) {
  auto file = co_await env.disk().open("f", OpenMode::read_write);
  for (int i = 0; i < rounds; ++i) {
    co_await file->write_at(0, one(filled(4096, static_cast<char>('a' + i))));
    if (flush_every != 0 && (i + 1) % flush_every == 0) co_await file->flush();
  }
  co_return Result<void>();
}

TEST(SimDisk, ACrashKeepsTheFlushedAndAnySubsetOfTheRest) {
  std::set<char> survivors;
  int torn = 0;
  for (u64 seed = 1; seed <= 300; ++seed) {
    World world(seed);
    Node& node = world.add_node("a");
    ASSERT_TRUE(run(world, node, create_synced(node, "f"))->has_value());
    // Letters a..f; c is the last one that was flushed.
    ASSERT_TRUE(run(world, node, write_rounds(node, 3, 3))->has_value());
    ASSERT_TRUE(run(world, node, write_rounds(node, 6, 0))->has_value());
    node.crash();
    node.restart();
    const Result<std::string> left = *run(world, node, read_all(node, "f"));
    ASSERT_EQ(left->size(), 4096u);
    std::set<char> in_file;
    for (std::size_t atom = 0; atom < 4096; atom += 512) {
      const char letter = (*left)[atom];
      // Nothing tears within an atom.
      EXPECT_EQ(left->substr(atom, 512), std::string(512, letter));
      EXPECT_TRUE(letter >= 'a' && letter <= 'f');
      in_file.insert(letter);
    }
    torn += in_file.size() > 1;
    survivors.insert(in_file.begin(), in_file.end());
  }
  EXPECT_EQ(survivors, (std::set<char>{'a', 'b', 'c', 'd', 'e', 'f'}));
  EXPECT_GT(torn, 10);
}

TEST(SimDisk, FlushedBytesAndSyncedNamesAlwaysSurvive) {
  for (u64 seed = 1; seed <= 100; ++seed) {
    FaultOptions faults;
    faults.crash_loses_write = faults.crash_loses_directory_operation = 1'000'000;
    World world(seed, faults);
    Node& node = world.add_node("a");
    ASSERT_TRUE(run(world, node, create_synced(node, "f"))->has_value());
    ASSERT_TRUE(run(world, node, write_rounds(node, 5, 5))->has_value());
    ASSERT_TRUE(run(world, node, write_rounds(node, 3, 0))->has_value());
    node.crash();
    node.restart();
    EXPECT_EQ(**run(world, node, read_all(node, "f")), std::string(4096, 'e'));
  }
}

// Without a sync after it, the rename may be lost; then the old file is there, whole.
Task<Result<void>> replace(Env& env, bool sync) {
  auto file = co_await env.disk().open("tmp", OpenMode::create);
  co_await file->write_at(0, one(filled(700, 'n')));
  co_await file->flush();
  co_await env.disk().rename("tmp", "f");
  if (sync) co_await env.disk().sync_directory("");
  co_return Result<void>();
}
TEST(SimDisk, ARenameIsAtomicAndDurableOnceSynced) {
  std::set<char> seen;
  for (u64 seed = 1; seed <= 100; ++seed) {
    const bool sync = seed % 2 == 0;
    World world(seed);
    Node& node = world.add_node("a");
    ASSERT_TRUE(run(world, node, create_synced(node, "f"))->has_value());
    ASSERT_TRUE(run(world, node, write_rounds(node, 1, 1))->has_value());
    ASSERT_TRUE(run(world, node, replace(node, sync))->has_value());
    node.crash();
    node.restart();
    const std::string left = **run(world, node, read_all(node, "f"));
    ASSERT_TRUE(left == std::string(700, 'n') || left == std::string(4096, 'a'));
    if (sync) EXPECT_EQ(left[0], 'n');
    if (!sync) seen.insert(left[0]);
  }
  EXPECT_EQ(seen, (std::set<char>{'a', 'n'}));
}

Task<Result<void>> flush_twice(Env& env, Errc& first) {
  auto file = co_await env.disk().open("f", OpenMode::read_write);
  co_await file->write_at(0, one(filled(4096, 'x')));
  Result<void> flushed = co_await file->flush().result();
  first = flushed ? Errc::ok : flushed.error().code;
  co_await file->flush();  // succeeds, and proves nothing
  co_return Result<void>();
}
TEST(SimDisk, AfterAFailedFlushASecondOneSavesNothing) {
  int lost = 0;
  for (u64 seed = 1; seed <= 50; ++seed) {
    World world(seed);
    Node& node = world.add_node("a");
    ASSERT_TRUE(run(world, node, create_synced(node, "f"))->has_value());
    node.fail_flushes(1);
    Errc first = Errc::ok;
    ASSERT_TRUE(run(world, node, flush_twice(node, first))->has_value());
    EXPECT_EQ(first, Errc::io_error);
    EXPECT_EQ(**run(world, node, read_all(node, "f")), std::string(4096, 'x'));  // the cache still has it
    node.crash();
    node.restart();
    lost += **run(world, node, read_all(node, "f")) != std::string(4096, 'x');
  }
  EXPECT_GT(lost, 10);
  EXPECT_LT(lost, 50);
}

TEST(SimDisk, ABitFlipsAtRest) {
  World world(1);
  Node& node = world.add_node("a");
  ASSERT_TRUE(run(world, node, create_synced(node, "f"))->has_value());
  ASSERT_TRUE(run(world, node, write_rounds(node, 1, 1))->has_value());
  EXPECT_FALSE(node.flip_bit("f", 4096, 0));
  EXPECT_TRUE(node.flip_bit("f", 100, 3));
  for (int life = 0; life < 2; ++life) {
    const std::string left = **run(world, node, read_all(node, "f"));
    EXPECT_EQ(left[100], 'a' ^ 8);
    EXPECT_EQ(std::count(left.begin(), left.end(), 'a'), 4095);
    node.crash();
    node.restart();
  }
}

TEST(SimDisk, ReadsMayMissTheirPlaceOrTheLatestWrite) {
  World world(4);
  Node& node = world.add_node("a");
  ASSERT_TRUE(run(world, node, create_synced(node, "f"))->has_value());
  ASSERT_TRUE(run(world, node, write_rounds(node, 1, 1))->has_value());  // a, flushed
  ASSERT_TRUE(run(world, node, write_rounds(node, 2, 0))->has_value());  // a, b
  EXPECT_EQ(*run(world, node, read_all(node, "f")), std::string(4096, 'b'));
  world.faults().stale_read = 1'000'000;
  EXPECT_EQ(*run(world, node, read_all(node, "f")), std::string(4096, 'a'));
  world.faults().stale_read = 0;
  world.faults().misdirected_read = 1'000'000;  // beyond the end, here
  EXPECT_EQ(*run(world, node, read_all(node, "f")), "");
  world.faults().misdirected_read = 0;
  EXPECT_EQ(*run(world, node, read_all(node, "f")), std::string(4096, 'b'));
}

TEST(SimDisk, SomeOperationsAreSlowAndSomeHang) {
  World world(4);
  Node& node = world.add_node("a");
  ASSERT_TRUE(run(world, node, create_synced(node, "f"))->has_value());
  const auto time_of_a_read = [&] {
    const Instant began = world.now();
    EXPECT_TRUE(run(world, node, read_all(node, "f"))->has_value());
    return world.now() - began;
  };
  EXPECT_LT(time_of_a_read(), 2ms);
  world.faults().slow_io = 1'000'000;
  EXPECT_GT(time_of_a_read(), 4ms);
  world.faults().hung_io = 1'000'000;
  EXPECT_GT(time_of_a_read(), 2s);
}

TEST(SimDisk, RatesMakeOperationsFail) {
  FaultOptions faults;
  World world(3, faults);
  Node& node = world.add_node("a");
  ASSERT_TRUE(run(world, node, create_synced(node, "f"))->has_value());
  world.faults().write_error = 1'000'000;
  EXPECT_EQ(run(world, node, write_rounds(node, 1, 1))->error().code, Errc::io_error);
  world.faults() = faults;
  world.faults().read_error = 1'000'000;
  world.faults().disk_bytes = 5000;
  ASSERT_TRUE(run(world, node, write_rounds(node, 1, 1))->has_value());
  EXPECT_EQ(run(world, node, read_all(node, "f"))->error().code, Errc::io_error);
  world.faults().disk_bytes = 100;
  ASSERT_TRUE(run(world, node, create_synced(node, "g"))->has_value());
  EXPECT_EQ(run(world, node, replace(node, true))->error().code, Errc::no_space);
  world.faults() = faults;
  world.faults().bit_flip = 1'000'000;
  EXPECT_NE(**run(world, node, read_all(node, "f")), std::string(4096, 'a'));
}

// The content of a file agrees with a byte array, whatever the order of writes, truncations, growths.
Task<Result<std::string>> random_history(Env& env, std::string& model) {
  auto file = co_await env.disk().open("r", OpenMode::create);
  for (int i = 0; i < 100; ++i) {
    const u64 offset = env.random().between(0, 20'000);
    const u64 length = env.random().between(1, 6000);
    const char letter = static_cast<char>('a' + i % 26);
    switch (env.random().between(0, 3)) {
      case 0:
        co_await file->truncate(offset);
        model.resize(offset, '\0');
        break;
      case 1:
        co_await file->allocate(offset);
        model.resize(std::max<u64>(model.size(), offset), '\0');
        break;
      default:
        co_await file->write_at(offset, one(filled(length, letter)));
        model.resize(std::max<u64>(model.size(), offset + length), '\0');
        model.replace(offset, length, std::string(length, letter));
    }
    if (env.random().between(0, 4) == 0) co_await file->flush();
  }
  co_await file->flush();
  co_await env.disk().sync_directory("");
  const std::string all = co_await read_all(env, "r");
  co_return all;
}
TEST(SimDisk, RandomHistoriesAgreeWithAByteArray) {
  for (u64 seed = 1; seed <= 30; ++seed) {
    World world(seed);
    Node& node = world.add_node("a");
    std::string model;
    EXPECT_TRUE(**run(world, node, random_history(node, model)) == model);
    node.crash();
    node.restart();
    EXPECT_TRUE(**run(world, node, read_all(node, "r")) == model);
  }
}

// What a machine that gets this disk reads; and its own changes reach no other.
std::string content_of(const DiskImage& image) {
  World world(9);
  Node& node = world.add_node("b");
  node.load_disk(image);
  const Result<std::string> got = *run(world, node, read_all(node, "f"));
  EXPECT_TRUE(run(world, node, write_rounds(node, 26, 1))->has_value());
  return got ? *got : "none";
}
using Fate = DiskImage::Fate;

TEST(SimDisk, AnImageGivesEachWayToLosePower) {
  World world(1);
  Node& node = world.add_node("a");
  ASSERT_TRUE(run(world, node, create_synced(node, "f"))->has_value());
  ASSERT_TRUE(run(world, node, write_rounds(node, 2, 2))->has_value());
  ASSERT_TRUE(run(world, node, write_rounds(node, 4, 0))->has_value());
  const DiskImage image = node.disk_image();
  ASSERT_TRUE(run(world, node, write_rounds(node, 26, 1))->has_value());  // does not change the image
  ASSERT_EQ(image.unflushed(), 4u);
  constexpr Fate kLost = Fate::lost, kKept = Fate::kept;
  EXPECT_EQ(content_of(image.after_power_loss({kLost, kLost, kLost, kLost}, 1)), std::string(4096, 'b'));
  EXPECT_EQ(content_of(image.after_power_loss({kKept, kLost, kLost, kLost}, 1)), std::string(4096, 'a'));
  EXPECT_EQ(content_of(image.after_power_loss({kKept, kLost, kKept, kLost}, 1)), std::string(4096, 'c'));
  const DiskImage all = image.after_power_loss({kKept, kKept, kKept, kKept}, 1);
  EXPECT_EQ(all.unflushed(), 0u);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(content_of(all), std::string(4096, 'd'));
  const DiskImage torn = image.after_power_loss({kLost, kLost, kKept, Fate::torn}, 5);
  const std::string mixed = content_of(torn);
  EXPECT_GT(std::count(mixed.begin(), mixed.end(), 'c'), 0);
  EXPECT_GT(std::count(mixed.begin(), mixed.end(), 'd'), 0);
  for (std::size_t atom = 0; atom < 4096; atom += 512)
    EXPECT_EQ(mixed.substr(atom, 512), std::string(512, mixed[atom]));
  EXPECT_NE(torn.identity(), all.identity());
  EXPECT_NE(torn.identity(), image.after_power_loss({kLost, kLost, kKept, Fate::torn}, 6).identity());
  EXPECT_EQ(all.identity(), image.after_power_loss({kKept, kKept, kKept, kKept}, 7).identity());
}

TEST(SimDisk, AnImageLosesNamesFromThePlaceOfTheFirstLostOne) {
  World world(1);
  Node& node = world.add_node("a");
  ASSERT_TRUE(run(world, node, create_synced(node, "f"))->has_value());
  ASSERT_TRUE(run(world, node, write_rounds(node, 1, 1))->has_value());
  u64 seen = 0;
  node.watch_disk([&seen] { ++seen; });
  ASSERT_TRUE(run(world, node, replace(node, false))->has_value());  // creates, writes, flushes, renames
  EXPECT_EQ(seen, 4u);
  const DiskImage image = node.disk_image();
  ASSERT_EQ(image.unflushed(), 2u);
  EXPECT_EQ(content_of(image.after_power_loss({Fate::kept, Fate::kept}, 1)), std::string(700, 'n'));
  EXPECT_EQ(content_of(image.after_power_loss({Fate::kept, Fate::lost}, 1)), std::string(4096, 'a'));
  EXPECT_EQ(content_of(image.after_power_loss({Fate::lost, Fate::kept}, 1)), std::string(4096, 'a'));
}

Task<Result<std::vector<std::string>>> directories(Env& env) {
  Disk& disk = env.disk();
  co_await disk.make_directory("/d/e/");
  for (const char* name : {"/d/z", "/d/y", "/d/e/x"}) co_await disk.open(name, OpenMode::create);
  Result<void> full = co_await disk.remove("/d/e").result();
  EXPECT_EQ(full.error().code, Errc::not_empty);
  Result<std::unique_ptr<File>> lost = co_await disk.open("/none/x", OpenMode::create).result();
  EXPECT_EQ(lost.error().code, Errc::not_found);
  Result<std::unique_ptr<File>> again = co_await disk.open("/d/z", OpenMode::create_new).result();
  EXPECT_EQ(again.error().code, Errc::exists);
  co_await disk.remove("/d/y");
  const std::vector<std::string> names = co_await disk.list("/d");
  co_return names;
}
TEST(SimDisk, Directories) {
  World world(1);
  Node& node = world.add_node("a");
  EXPECT_EQ(**run(world, node, directories(node)), (std::vector<std::string>{"e", "z"}));
}

}  // namespace
}  // namespace claudefs::sim
