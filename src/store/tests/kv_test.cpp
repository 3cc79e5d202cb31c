// Goal: both stores behave as one ordered map; a crash leaves a prefix of the batches.
// Method: random batches against a std::map of our own, on the in-memory store and on RocksDB.
#include "store/kv.h"

#include <map>
#include <random>
#include <set>

#include "store/memory_kv.h"
#include "store/tests/support.h"

namespace claudefs::store {
namespace {
using Model = std::map<std::string, std::string>;

class SeededRandom final : public runtime::Random {
 public:
  explicit SeededRandom(u64 seed) : engine_(seed) {}
  u64 next() override { return engine_(); }
  void fill_secret(MutableByteSpan out) override {
    for (auto& b : out) b = static_cast<std::byte>(next());
  }

 private:
  std::mt19937_64 engine_;
};

std::string key_of(u64 n) { return fmt::format("k{:03}", n % 200); }
KvBatch draw_batch(runtime::Random& random, Model& model) {
  KvBatch batch;
  const u64 ops = random.between(1, 6);
  for (u64 i = 0; i < ops; ++i) {
    const std::string key = key_of(random.next());
    switch (random.between(0, 9)) {
      case 0: {
        const std::string end = key_of(random.next());  // empty when it is before the key
        batch.remove_range(key, end);
        if (key < end) model.erase(model.lower_bound(key), model.lower_bound(end));
        break;
      }
      case 1:
      case 2:
        batch.remove(key);
        model.erase(key);
        break;
      default: {
        const std::string value = std::to_string(random.next()) + std::string(1, '\0');
        batch.put(key, value);
        model[key] = value;
      }
    }
  }
  return batch;
}
Model contents(const Kv& kv) {
  Model out;
  auto it = kv.iterate();
  for (it->seek(""); it->valid(); it->next()) out.emplace(it->key(), it->value());
  EXPECT_TRUE(it->status().has_value());
  return out;
}
void follow_a_model(Kv& kv, u64 seed) {
  SeededRandom random(seed);
  Model model;
  Model at_view;
  std::unique_ptr<KvIterator> view;
  for (int i = 0; i < 600; ++i) {
    if (i == 300) {
      view = kv.iterate();
      at_view = model;
    }
    ASSERT_TRUE(kv.write(draw_batch(random, model)).has_value());
    const std::string key = key_of(random.next());
    const auto got = kv.get(key);
    ASSERT_TRUE(got.has_value());
    const auto want = model.find(key);
    ASSERT_EQ(got->has_value(), want != model.end());
    if (got->has_value()) {
      ASSERT_EQ(**got, want->second);
    }
  }
  EXPECT_EQ(contents(kv), model);
  Model seen;
  for (view->seek(""); view->valid(); view->next()) seen.emplace(view->key(), view->value());
  EXPECT_EQ(seen, at_view) << "an iterator sees the store as it was";
  auto it = kv.iterate();
  it->seek("k100");
  const auto want = model.lower_bound("k100");
  ASSERT_EQ(it->valid(), want != model.end());
  if (it->valid()) {
    EXPECT_EQ(it->key(), want->first);
  }
  Model some;
  for (it->seek("k03", end_of_prefix("k03")); it->valid(); it->next()) some.emplace(it->key(), it->value());
  EXPECT_EQ(some, Model(model.lower_bound("k03"), model.lower_bound("k04")));
  it->seek("k05", "k04");
  EXPECT_FALSE(it->valid()) << "an end before the beginning: nothing";
}

TEST(MemoryKv, IsAnOrderedMap) {
  for (u64 seed = 1; seed <= 10; ++seed) {
    MemoryKv kv;
    follow_a_model(kv, seed);
  }
}
TEST(RocksKv, IsAnOrderedMap) {
  TemporaryDirectory directory;
  auto reactor = make_reactor();
  auto kv = open_rocks(reactor->env(), directory / "kv");
  ASSERT_TRUE(kv.has_value()) << kv.error().to_string();
  follow_a_model(**kv, 1);
}

// Rows are held back before they reach RocksDB: views at any moment, longer values and flushes in between.
TEST(RocksKv, ViewsAreRightWhereverTheRowsLie) {
  TemporaryDirectory directory;
  auto reactor = make_reactor();
  auto opened = open_rocks(reactor->env(), directory / "kv");
  ASSERT_TRUE(opened.has_value()) << opened.error().to_string();
  Kv& kv = **opened;
  SeededRandom random(11);
  Model model;
  std::vector<std::pair<std::unique_ptr<KvIterator>, Model>> views;
  for (int i = 0; i < 3000; ++i) {
    KvBatch batch;
    for (u64 n = random.between(1, 4); n > 0; --n) {
      const std::string key = key_of(random.next());
      if (random.between(0, 9) < 3) {
        batch.remove(key);
        model.erase(key);
      } else {
        const std::string value(random.between(0, 600), static_cast<char>('a' + random.between(0, 25)));
        batch.put(key, value);
        model[key] = value;
      }
    }
    if (random.between(0, 99) == 0) {
      batch.remove_range("k050", "k070");
      model.erase(model.lower_bound("k050"), model.lower_bound("k070"));
    }
    ASSERT_TRUE(kv.write(batch).has_value());
    if (random.between(0, 199) == 0) ASSERT_TRUE(run(*reactor, kv.flush()).has_value());
    if (random.between(0, 19) == 0) views.emplace_back(kv.iterate(), model);
    if (views.size() > 3) views.erase(views.begin());
    for (auto& [view, then] : views) {
      const std::string from = key_of(random.next());
      const std::string end = random.between(0, 2) == 0 ? "" : key_of(random.next());
      auto want = then.lower_bound(from);
      const auto behind = end.empty() ? then.end() : then.lower_bound(std::max(from, end));
      view->seek(from, end);
      for (int steps = 0; steps < 8 && want != behind; ++steps, ++want, view->next()) {
        ASSERT_TRUE(view->valid());
        ASSERT_EQ(view->key(), want->first);
        ASSERT_EQ(view->value(), want->second);
      }
      ASSERT_EQ(view->valid(), want != behind);
    }
  }
  EXPECT_EQ(contents(kv), model);
}

u64 bytes_read_by_this_process() {
  std::ifstream io("/proc/self/io");
  std::string name;
  u64 bytes = 0;
  io >> name >> bytes;
  CFS_CHECK(name == "rchar:");
  return bytes;
}

// A table's filter and index grow with it. Read in whole for each row that is asked for, they cost a
// directory of a million files three quarters of the servers' time.
TEST(RocksKv, ARowOfALargeTableCostsAFewBlocks) {
  const auto reactor = make_reactor();
  const TemporaryDirectory directory;
  RocksOptions options;
  options.cache_bytes = 512_KiB;
  options.write_buffer_bytes = 64_MiB;
  auto kv = open_rocks(reactor->env(), directory / "kv", options);
  ASSERT_TRUE(kv.has_value()) << kv.error().text;
  constexpr u64 kFlushes = 4, kBatches = 120, kBatch = 1000;
  const auto row = [](u64 n) { return fmt::format("{:08}", n); };
  // Every table reaches over all keys, so that they become one, below the level of new ones.
  for (u64 flush = 0; flush < kFlushes; ++flush) {
    for (u64 b = 0; b < kBatches; ++b) {
      KvBatch batch;
      for (u64 i = 0; i < kBatch; ++i) batch.put(row((b * kBatch + i) * kFlushes + flush), "v");
      ASSERT_TRUE((*kv)->write(batch).has_value());
    }
    ASSERT_TRUE(run(*reactor, (*kv)->flush()).has_value());
  }
  for (int wait = 0; (*kv)->files().size() > 1; ++wait) {
    ASSERT_LT(wait, 6000) << "not compacted";
    ::usleep(10'000);
  }
  constexpr u64 kReads = 500;
  SeededRandom random(1);
  const u64 before = bytes_read_by_this_process();
  for (u64 i = 0; i < kReads; ++i) {
    const u64 n = random.between(0, kFlushes * kBatches * kBatch - 1);
    const Result<std::optional<std::string>> found = (*kv)->get(row(n));
    ASSERT_TRUE(found.has_value() && found->has_value());
    const Result<std::optional<std::string>> none = (*kv)->get(row(n) + "x");
    ASSERT_TRUE(none.has_value() && !none->has_value());
  }
  const u64 each = (bytes_read_by_this_process() - before) / (2 * kReads);
  EXPECT_LT(each, 32_KiB);
  EXPECT_GT(each, 0u);  // or this does not measure it
}

TEST(RocksKv, FlushedBatchesSurviveAProcessThatDies) {
  TemporaryDirectory directory;
  SeededRandom random(3);
  Model model;
  const std::string path = directory / "kv";
  const std::string copy = directory / "copy";
  auto reactor = make_reactor();
  auto kv = open_rocks(reactor->env(), path);
  ASSERT_TRUE(kv.has_value());
  for (int i = 0; i < 100; ++i) ASSERT_TRUE((*kv)->write(draw_batch(random, model)).has_value());
  ASSERT_TRUE(run(*reactor, (*kv)->flush()).has_value());
  Model later = model;
  ASSERT_TRUE((*kv)->write(draw_batch(random, later)).has_value());
  std::filesystem::copy(path, copy, std::filesystem::copy_options::recursive);  // what a dead process leaves
  auto revived = open_rocks(reactor->env(), copy);
  ASSERT_TRUE(revived.has_value()) << revived.error().to_string();
  EXPECT_EQ(contents(**revived), model);
  EXPECT_GT((*revived)->stats().disk_bytes, 0u);
}

TEST(RocksKv, TwoOwnersAreRefusedAndDamageIsNamed) {
  TemporaryDirectory directory;
  const std::string path = directory / "kv";
  auto reactor = make_reactor();
  {
    auto kv = open_rocks(reactor->env(), path);
    ASSERT_TRUE(kv.has_value());
    EXPECT_EQ(open_rocks(reactor->env(), path).error().code, Errc::locked);
    KvBatch batch;
    batch.put("a", "b");
    ASSERT_TRUE((*kv)->write(batch).has_value());
    ASSERT_TRUE(run(*reactor, (*kv)->flush()).has_value());
  }
  for (const auto& entry : std::filesystem::directory_iterator(path))
    if (entry.path().filename().string().starts_with("MANIFEST"))
      for (u64 at = 8; at < entry.file_size(); at += 16) flip_bit(entry.path().string(), at, 2);
  const auto hurt = open_rocks(reactor->env(), path);
  ASSERT_FALSE(hurt.has_value());
  EXPECT_EQ(hurt.error().code, Errc::corrupt);
  EXPECT_NE(hurt.error().text.find(path), std::string::npos);
  EXPECT_NE(hurt.error().text.find("rejoin"), std::string::npos);
}

TEST(RocksKv, VerifyFindsDamagedTables) {
  TemporaryDirectory directory;
  const std::string path = directory / "kv";
  auto reactor = make_reactor();
  auto kv = open_rocks(reactor->env(), path);
  ASSERT_TRUE(kv.has_value());
  SeededRandom random(5);
  KvBatch batch;
  for (int i = 0; i < 2000; ++i) batch.put(std::to_string(random.next()), std::to_string(random.next()));
  ASSERT_TRUE((*kv)->write(batch).has_value());
  ASSERT_TRUE(run(*reactor, (*kv)->flush()).has_value());
  const std::vector<KvFile> files = (*kv)->files();
  ASSERT_FALSE(files.empty());
  const auto verify = [&](const std::string& name) { return run(*reactor, (*kv)->verify(name)); };
  for (const KvFile& file : files) {
    const std::string table = path + file.name;
    ASSERT_EQ(std::filesystem::file_size(table), file.bytes);
    EXPECT_TRUE(verify(file.name).has_value());
    for (int i = 0; i < 40; ++i) {
      const u64 byte = random.between(0, file.bytes - 1);
      flip_bit(table, byte, 3);
      const Result<void> checked = verify(file.name);
      ASSERT_FALSE(checked.has_value()) << byte << " of " << file.bytes;
      EXPECT_EQ(checked.error().code, Errc::corrupt);
      EXPECT_NE(checked.error().text.find(table), std::string::npos);
      flip_bit(table, byte, 3);
    }
    EXPECT_TRUE(verify(file.name).has_value());
  }
  EXPECT_EQ(verify("/000000.sst").error().code, Errc::not_found);
}

TEST(MemoryKv, ACrashLeavesAPrefixAfterTheLastFlush) {
  auto reactor = make_reactor();
  std::set<std::size_t> kept;
  for (u64 seed = 1; seed <= 60; ++seed) {
    SeededRandom random(seed);
    MemoryKv kv;
    Model model;
    std::vector<Model> states;
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(kv.write(draw_batch(random, model)).has_value());
    ASSERT_TRUE(run(*reactor, kv.flush()).has_value());
    states.push_back(model);
    for (int i = 0; i < 5; ++i) {
      ASSERT_TRUE(kv.write(draw_batch(random, model)).has_value());
      states.push_back(model);
    }
    EXPECT_EQ(kv.unflushed(), 5u);
    kv.crash(random);
    const auto at = std::find(states.begin(), states.end(), contents(kv));
    ASSERT_NE(at, states.end());
    kept.insert(static_cast<std::size_t>(at - states.begin()));
    kv.crash(random);  // what is left is durable
    EXPECT_EQ(contents(kv), *at);
  }
  EXPECT_GT(kept.size(), 3u) << "the crash must not always keep the same";
}

}  // namespace
}  // namespace claudefs::store
