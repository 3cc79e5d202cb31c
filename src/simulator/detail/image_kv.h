// The metadata store of a simulated node: a store::MemoryKv whose flush() writes a checksummed image of the
// whole to the node's simulated disk. RocksDB itself has threads and clocks of its own and is tested on real
// files (store/tests/kv_test.cpp).
//
// Like RocksDB without its log: what was written since the last flush is lost in a crash, or became durable
// earlier by itself, as a prefix. `DIRECTORY/image`: u32 magic, u32 CRC-32C, then wire-encoded pairs. A new
// image is written aside, flushed, and renamed.
#pragma once

#include <memory>

#include "runtime/scope.h"
#include "runtime/sync.h"
#include "store/memory_kv.h"

namespace claudefs::simulator {

class ImageKv final : public store::Kv {
 public:
  // Errors: corrupt (the image does not check), those of the disk.
  static runtime::Task<Result<std::unique_ptr<store::Kv>>> open(runtime::Env& env, std::string directory);

  ImageKv(runtime::Env& env, std::string directory);
  Result<std::optional<std::string>> get(std::string_view key) const override { return memory_.get(key); }
  Result<void> write(const store::KvBatch& batch) override;
  std::unique_ptr<store::KvIterator> iterate() const override { return memory_.iterate(); }
  runtime::Task<Result<void>> flush() override;
  store::KvStats stats() const override;

 private:
  runtime::Task<Result<void>> load();
  runtime::Task<Result<void>> write_image();
  runtime::Task<void> flush_by_itself();
  std::string path(const char* name) const { return directory_ + "/" + name; }

  runtime::Env& env_;
  std::string directory_;
  store::MemoryKv memory_;
  u64 image_bytes_ = 0;
  u64 written_ = 0, durable_ = 0;  // batches
  runtime::Mutex writing_;
  runtime::Scope scope_;  // last: what runs on it uses the rest
};

}  // namespace claudefs::simulator
