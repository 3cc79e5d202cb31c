#include "store/memory_kv.h"

#include <algorithm>

namespace claudefs::store {
namespace {
class MapIterator final : public KvIterator {
 public:
  explicit MapIterator(std::shared_ptr<const MemoryKv::Map> map)
      : map_(std::move(map)), at_(map_->end()), end_(at_) {}
  void seek(std::string_view key, std::string_view end) override {
    at_ = map_->lower_bound(key);
    end_ = end.empty() ? map_->end() : map_->lower_bound(std::max(key, end));
  }
  bool valid() const override { return at_ != end_; }
  void next() override { ++at_; }
  std::string_view key() const override { return at_->first; }
  std::string_view value() const override { return at_->second; }

 private:
  std::shared_ptr<const MemoryKv::Map> map_;
  MemoryKv::Map::const_iterator at_;
  MemoryKv::Map::const_iterator end_;
};
}  // namespace

Result<std::optional<std::string>> MemoryKv::get(std::string_view key) const {
  const auto at = now_->find(key);
  if (at == now_->end()) return std::nullopt;
  return at->second;
}

// Iterators share the map: who writes while one lives takes a copy first.
MemoryKv::Map& MemoryKv::own() {
  if (now_.use_count() > 1) now_ = std::make_shared<Map>(*now_);
  return *now_;
}

void MemoryKv::apply(Map& map, const KvBatch& batch) const {
  for (const KvBatch::Op& op : batch.ops()) {
    switch (op.kind) {
      case KvBatch::Op::Kind::put:
        map.insert_or_assign(op.key, op.value);
        break;
      case KvBatch::Op::Kind::remove:
        map.erase(op.key);
        break;
      case KvBatch::Op::Kind::remove_range:
        if (op.key < op.value) map.erase(map.lower_bound(op.key), map.lower_bound(op.value));
        break;
    }
  }
}

Result<void> MemoryKv::write(const KvBatch& batch) {
  if (batch.empty()) return {};
  apply(own(), batch);
  since_.push_back(batch);
  return {};
}

std::unique_ptr<KvIterator> MemoryKv::iterate() const { return std::make_unique<MapIterator>(now_); }

runtime::Task<Result<void>> MemoryKv::flush() {
  for (const KvBatch& batch : since_) apply(durable_, batch);
  since_.clear();
  co_return Result<void>();
}

KvStats MemoryKv::stats() const {
  KvStats stats;
  for (const auto& [key, value] : *now_) stats.memory_bytes += key.size() + value.size();
  return stats;
}

void MemoryKv::crash(runtime::Random& random) {
  const std::size_t kept = random.between(0, since_.size());
  for (std::size_t i = 0; i < kept; ++i) apply(durable_, since_[i]);
  since_.clear();
  now_ = std::make_shared<Map>(durable_);
}

}  // namespace claudefs::store
