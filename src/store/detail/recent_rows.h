// Rows written since the store below last took a batch. Applying commands writes a few rows over and over (a
// shard's counters, the parent directory, a session's answers): here only the last version of each reaches
// the store.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "store/kv.h"

namespace claudefs::store::detail {

class RecentRows {
 public:
  // nullopt: removed.
  using Rows = std::map<std::string, std::optional<std::string>, std::less<>>;

  void apply(const KvBatch& batch);  // puts and removals only
  // Null: nothing recent is known of the row.
  const std::optional<std::string>* find(std::string_view key) const;
  bool empty() const { return rows_->empty(); }
  std::size_t bytes() const { return bytes_; }
  const Rows& rows() const { return *rows_; }
  void clear();
  // While somebody looks at them they must not change: write them out and clear() first.
  bool watched() const { return rows_.use_count() > 1; }
  std::shared_ptr<const Rows> watch() const { return rows_; }

 private:
  std::shared_ptr<Rows> rows_ = std::make_shared<Rows>();
  std::size_t bytes_ = 0;
};

// `below` with the recent rows over it.
std::unique_ptr<KvIterator> merge(std::shared_ptr<const RecentRows::Rows> recent,
                                  std::unique_ptr<KvIterator> below);

}  // namespace claudefs::store::detail
