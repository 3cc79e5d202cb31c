// Goal: the row cache never tells anything but what the store holds, and stays within its size.
// Method: random reads, batches and range removals against a std::map, with a cache that overflows often.
#include "store/detail/kv_cache.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace claudefs::store::detail {
namespace {

TEST(KvCache, TellsTheTruthAndStaysSmall) {
  constexpr std::size_t kBytes = 4096;
  std::mt19937_64 random(7);
  std::map<std::string, std::string> truth;
  KvCache cache(kBytes);
  std::size_t hits = 0;
  const auto some_key = [&] { return "row" + std::to_string(random() % 60); };
  for (int step = 0; step < 50'000; ++step) {
    if (random() % 4 == 0) {
      KvBatch batch;
      for (u64 i = random() % 4; i > 0; --i) {
        std::string key = some_key();
        if (random() % 3 == 0) {
          truth.erase(key);
          batch.remove(std::move(key));
        } else {
          std::string value(random() % 100, static_cast<char>('a' + random() % 26));
          truth[key] = value;
          batch.put(std::move(key), std::move(value));
        }
      }
      if (random() % 200 == 0) {
        truth.erase(truth.lower_bound("row2"), truth.lower_bound("row4"));
        batch.remove_range("row2", "row4");
      }
      cache.apply(batch);
    } else {
      const std::string key = some_key();
      const auto at = truth.find(key);
      const auto right = at == truth.end() ? std::nullopt : std::optional<std::string>(at->second);
      if (const auto* known = cache.find(key)) {
        ++hits;
        ASSERT_EQ(*known, right) << key;
      } else {
        cache.learn(key, right);
      }
    }
    ASSERT_LE(cache.bytes(), kBytes + 1024);  // the last batch may stand out
  }
  EXPECT_GT(hits, 5'000u);
}

}  // namespace
}  // namespace claudefs::store::detail
