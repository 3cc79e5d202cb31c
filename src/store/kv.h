// An ordered key-value store inside one node: what shard state machines write.
//
// Production: one RocksDB per node without a WAL (the Raft log is the log). A batch is atomic; batches become
// durable in order, at flush() or earlier, so after a crash the store is some prefix of the batches
// written. In memory (MemoryKv): for the simulator; crash() returns it to its last flush, or to a later
// batch. Calls are synchronous: gets are served from caches in the normal case
// (docs/decisions/0002-kv-on-the-reactor.md).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "runtime/env.h"

namespace claudefs::store {

class KvBatch {
 public:
  struct Op {
    enum class Kind : std::uint8_t { put, remove, remove_range } kind;
    std::string key;    // or first of the range
    std::string value;  // or end of the range, exclusive
  };
  void put(std::string key, std::string value) {
    ops_.push_back({Op::Kind::put, std::move(key), std::move(value)});
  }
  void remove(std::string key) { ops_.push_back({Op::Kind::remove, std::move(key), {}}); }
  void remove_range(std::string first, std::string end) {
    ops_.push_back({Op::Kind::remove_range, std::move(first), std::move(end)});
  }
  const std::vector<Op>& ops() const { return ops_; }
  bool empty() const { return ops_.empty(); }
  void clear() { ops_.clear(); }

 private:
  std::vector<Op> ops_;
};

// Ascending by key. A view of the store as it was when made.
class KvIterator {
 public:
  virtual ~KvIterator() = default;
  // The first key >= `key`; the iteration ends before `end` (nothing: with the last key). Who knows an end
  // says so: rows removed behind it then cost nothing.
  virtual void seek(std::string_view key, std::string_view end = {}) = 0;
  virtual bool valid() const = 0;
  virtual void next() = 0;
  virtual std::string_view key() const = 0;
  virtual std::string_view value() const = 0;
  // When valid() has become false: ok at the end of the keys, else the disk error that cut the scan short.
  virtual Result<void> status() const { return {}; }
};

// The first key behind all those that begin with `prefix`: the end of a scan of them.
std::string end_of_prefix(std::string_view prefix);

struct KvStats {
  u64 disk_bytes = 0;
  u64 memory_bytes = 0;
};

struct KvFile {
  std::string name;
  u64 bytes = 0;
};

class Kv {
 public:
  virtual ~Kv() = default;
  virtual Result<std::optional<std::string>> get(std::string_view key) const = 0;
  virtual Result<void> write(const KvBatch& batch) = 0;
  virtual std::unique_ptr<KvIterator> iterate() const = 0;
  // Everything written before the call is durable when it ends.
  virtual runtime::Task<Result<void>> flush() = 0;
  virtual KvStats stats() const = 0;
  // The files of what is durable, for a scrub, and one of them read whole. Errors: corrupt, not_found (it is
  // gone), io_error.
  virtual std::vector<KvFile> files() const { return {}; }
  virtual runtime::Task<Result<void>> verify(std::string /*file*/) { co_return Result<void>(); }
};

struct RocksOptions {
  u64 cache_bytes = 64u << 20;
  u64 write_buffer_bytes = 16u << 20;
};
// Errors: corrupt (names the directory and says how to re-create the node), io_error, locked.
Result<std::unique_ptr<Kv>> open_rocks(runtime::Env& env, const std::string& directory,
                                       RocksOptions options = {});

}  // namespace claudefs::store
