#include "store/detail/kv_cache.h"

namespace claudefs::store::detail {

std::size_t KvCache::cost(std::string_view key, const std::optional<std::string>& value) {
  constexpr std::size_t kNode = 96;  // of the table, about
  return kNode + key.size() + (value ? value->size() : 0);
}

const std::optional<std::string>* KvCache::find(std::string_view key) {
  if (const auto at = young_.find(key); at != young_.end()) return &at->second;
  const auto at = old_.find(key);
  if (at == old_.end()) return nullptr;
  auto row = old_.extract(at);
  const std::size_t bytes = cost(row.key(), row.mapped());
  old_bytes_ -= bytes;
  make_room();
  young_bytes_ += bytes;
  return &young_.insert(std::move(row)).position->second;
}

void KvCache::learn(std::string_view key, std::optional<std::string> value) {
  if (const auto at = old_.find(key); at != old_.end()) {
    old_bytes_ -= cost(key, at->second);
    old_.erase(at);
  }
  if (const auto at = young_.find(key); at != young_.end()) {
    young_bytes_ -= cost(key, at->second);
    young_bytes_ += cost(key, value);
    at->second = std::move(value);
    return;
  }
  make_room();
  young_bytes_ += cost(key, value);
  young_.emplace(std::string(key), std::move(value));
}

void KvCache::apply(const KvBatch& batch) {
  for (const KvBatch::Op& op : batch.ops()) {
    switch (op.kind) {
      case KvBatch::Op::Kind::put:
        learn(op.key, op.value);
        break;
      case KvBatch::Op::Kind::remove:
        learn(op.key, std::nullopt);
        break;
      case KvBatch::Op::Kind::remove_range:  // rare: a shard's state is replaced
        clear();
        break;
    }
  }
}

void KvCache::clear() {
  young_.clear();
  old_.clear();
  young_bytes_ = old_bytes_ = 0;
}

void KvCache::make_room() {
  if (young_bytes_ < generation_bytes_) return;
  old_ = std::move(young_);
  old_bytes_ = young_bytes_;
  young_.clear();
  young_bytes_ = 0;
}

}  // namespace claudefs::store::detail
