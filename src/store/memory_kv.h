// A Kv in memory, for the simulator and for tests of state machines. Keeps what a crash needs: the contents
// at the last flush and the batches since.
#pragma once

#include <map>

#include "store/kv.h"

namespace claudefs::store {

class MemoryKv final : public Kv {
 public:
  using Map = std::map<std::string, std::string, std::less<>>;

  Result<std::optional<std::string>> get(std::string_view key) const override;
  Result<void> write(const KvBatch& batch) override;
  // A copy-on-write view: the first write after it copies the map.
  std::unique_ptr<KvIterator> iterate() const override;
  runtime::Task<Result<void>> flush() override;
  KvStats stats() const override;

  // What is left after a power loss: the last flush and a random number of the batches after it, as a prefix.
  // The state left counts as durable.
  void crash(runtime::Random& random);
  // Batches written since the last flush.
  std::size_t unflushed() const { return since_.size(); }

 private:
  void apply(Map& map, const KvBatch& batch) const;
  Map& own();

  std::shared_ptr<Map> now_ = std::make_shared<Map>();
  Map durable_;
  std::vector<KvBatch> since_;
};

}  // namespace claudefs::store
