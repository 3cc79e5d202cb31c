// Rows lately read or written, also those found absent: applying a command looks the same few up again and
// again (its shard's counters, the parent directory, the inode made a moment ago), and each search of the
// store costs microseconds. Two generations: when the young one is full, the old one goes.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "store/kv.h"

namespace claudefs::store::detail {

class KvCache {
 public:
  explicit KvCache(std::size_t bytes_max) : generation_bytes_(bytes_max / 2) {}

  // Null: nothing is known of the row. The answer holds until the next call.
  const std::optional<std::string>* find(std::string_view key);
  void learn(std::string_view key, std::optional<std::string> value);
  // What a batch that the store has taken changed.
  void apply(const KvBatch& batch);
  void clear();
  std::size_t bytes() const { return young_bytes_ + old_bytes_; }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view key) const { return std::hash<std::string_view>()(key); }
  };
  using Rows = std::unordered_map<std::string, std::optional<std::string>, Hash, std::equal_to<>>;
  static std::size_t cost(std::string_view key, const std::optional<std::string>& value);
  void make_room();

  const std::size_t generation_bytes_;
  Rows young_, old_;  // a row is in one of them at most
  std::size_t young_bytes_ = 0, old_bytes_ = 0;
};

}  // namespace claudefs::store::detail
